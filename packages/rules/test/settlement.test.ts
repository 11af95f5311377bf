import { describe, expect, it } from 'vitest';
import { isDrawnForCheck } from '../src/assignments.ts';
import { exactnessOf } from '../src/run-account.ts';
import type { ConnectionId, CoordinatorState } from '../src/state.ts';
import { checkRate } from '../src/track-record.ts';
import {
  type CoordinatorOptions,
  eventsOf,
  expectAdded,
  ScriptedCoordinator,
  sentTo,
  sharing,
  started,
  type Task,
  typesOf,
} from './scripted-coordinator.ts';

const deviceLost = { type: 'taskError', code: 'device-lost', message: 'the device is gone' } as const;

describe('a late or duplicate gradient', () => {
  it('is ignored: its shard is counted once, and no fault is', () => {
    const { coordinator, first, second, task } = sharing();
    coordinator.gradient(first, task);
    const counted = () => structuredClone([coordinator.state.records, coordinator.state.faults]);
    const before = counted();
    expect(coordinator.gradient(first, task)).toEqual([]);
    expect(coordinator.gradient(second, task)).toEqual([]);
    expect(counted()).toEqual(before);
    coordinator.answerAll(second);
    expect(coordinator.gradient(first, task)).toEqual([]);
  });

  it('is ignored if its shard was taken away meanwhile', () => {
    const { coordinator, first, second, task } = sharing();
    coordinator.receive(first, { ...deviceLost, ...task });
    coordinator.numericsResult(first);
    const added = coordinator.added.length;
    coordinator.gradient(first, task);
    expect(coordinator.added).toHaveLength(added);
    expect(coordinator.tasksOf(second)).toContainEqual(task);
  });

  it('is ignored if the shard was never given to the worker', () => {
    const { coordinator, first, second } = sharing();
    const added = coordinator.added.length;
    for (const task of coordinator.tasksOf(second)) coordinator.gradient(first, task);
    expect(coordinator.added).toHaveLength(added);
  });
});

describe('a gradient', () => {
  it('counts for the worker that returned it, not for the one that had lost the shard', () => {
    const { coordinator, first, second } = started(2, { steps: 1 });
    expect(coordinator.tasksOf(first)).toHaveLength(1);
    coordinator.wait(6_000);
    expect(coordinator.state.connections.has(first)).toBe(false);
    coordinator.answerAll(second);
    expect(coordinator.state.phase).toBe('finished');
    expect([...coordinator.state.records.values()].map(({ shards }) => shards)).toEqual([0, 1]);
  });

  it('counts at most the time for which its worker had the shard, whatever computing time it reports', () => {
    const { coordinator, first: only } = started(1, { steps: 1 });
    coordinator.nowMs += 40;
    coordinator.answerAll(only, 1e308);
    expect([...coordinator.state.records.values()][0]).toMatchObject({ shards: 1, samples: 16, computeMs: 40 });
  });
});

describe('a gradient that is not finite', () => {
  it('is computed by the coordinator, and the run goes on if its own result is finite', () => {
    const { coordinator, first, task } = sharing();
    const effects = coordinator.nonFinite(first, task);
    expect(effects).toContainEqual({ type: 'referee', ...task });
    expectAdded(effects, task, 0);
    coordinator.finish();
  });

  it('fails the run with a message that names the samples if the coordinator finds the same', () => {
    const { coordinator, first, task } = sharing();
    coordinator.refereeFindsFinite = false;
    const effects = coordinator.nonFinite(first, task);
    const from = 16 * (task.step % 4) + task.lo * 2;
    const samples = `samples ${from} to ${from + task.n * 2 - 1} of epoch ${Math.floor(task.step / 4) + 1}`;
    expect(effects.at(-1)).toMatchObject({
      type: 'failed',
      message: expect.stringContaining(samples),
      hasDiverged: true,
    });
    expect(coordinator.state.phase).toBe('failed');
  });

  it('fails a run whose only worker is the coordinator itself without naming another', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.refereeFindsFinite = false;
    const own = coordinator.join({ isOwn: true });
    const [failed] = coordinator.nonFinite(own, coordinator.tasksOf(own)[0]!).filter(({ type }) => type === 'failed');
    expect(failed).toMatchObject({ message: expect.stringMatching(/ is not finite: training has diverged; /) });
  });

  it('from one worker alone does not fail the run, however often it is reported', () => {
    const { coordinator, first: faulty } = sharing(2, { limits: { maxTaskErrors: 100 } });
    const task = coordinator.tasksOf(faulty)[0]!;
    for (let times = 0; times < 50; times++) coordinator.nonFinite(faulty, task);
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('task errors', () => {
  it('disconnect a worker at the third in a row; a result between them starts the count again', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 20 });
    // The worker's numeric mode differs from the coordinator's, so that values may overflow that do not there.
    const [faulty] = [coordinator.join({ hash: 'bbbbbbbb' }), coordinator.join()];
    for (let times = 0; times < 5; times++) {
      coordinator.completePlannedSteps();
      coordinator.nonFinite(faulty, coordinator.tasksOf(faulty)[0]!);
      coordinator.completePlannedSteps();
    }
    expect(coordinator.state.connections.has(faulty)).toBe(true);
    const pastTask = { step: 0, lo: 0, n: 8 };
    coordinator.nonFinite(faulty, pastTask);
    coordinator.nonFinite(faulty, pastTask);
    const effects = coordinator.nonFinite(faulty, pastTask, 'x'.repeat(1_000));
    expect(sentTo(faulty, effects)).toEqual(['refuse', 'close']);
    const refusal = effects.find((effect) => effect.type === 'send' && effect.message.type === 'refuse');
    // The refusal quotes the worker's own text, cut to the maximum length of a message.
    expect(refusal).toMatchObject({ message: { code: 'busy', message: expect.stringMatching(/^.{1,1000}$/) } });
  });

  it('of a lost device take all shards from the worker until it has passed the numerics check again', () => {
    const { coordinator, first: broken, second: other, task } = sharing();
    expect(sentTo(broken, coordinator.receive(broken, { ...deviceLost, ...task }))).toEqual(['sendNumericsCheck']);
    expect(coordinator.tasksOf(broken)).toEqual([]);
    expect(coordinator.tasksOf(other)).toContainEqual(task);
    // A gradient that was sent before the error is late, not a protocol violation.
    expect(coordinator.gradient(broken, task)).toEqual([]);
    coordinator.numericsResult(broken, 'bbbbbbbb');
    coordinator.finish();
    expect(coordinator.state.contributed.map(({ numericsHash }) => numericsHash)).toEqual(['aaaaaaaa', 'bbbbbbbb']);
  });

  it('of several shards that were lost with one device count as one, and lead to one numerics check', () => {
    const { coordinator, first: broken, task } = sharing();
    coordinator.receive(broken, { ...deviceLost, ...task });
    for (const lo of [0, 1, 2]) {
      expect(coordinator.receive(broken, { ...deviceLost, step: task.step, lo, n: 1 })).toEqual([]);
    }
    coordinator.numericsResult(broken, 'bbbbbbbb');
    expect(coordinator.state.connections.get(broken)).toMatchObject({ phase: 'ready', taskErrors: 1 });
    coordinator.completeRun();
    expect(coordinator.state.faults).toMatchObject({ rejected: 1, disconnects: 0 });
  });
});

/** A coordinator in the numeric mode of its workers. */
const createCoordinator = (options: CoordinatorOptions): ScriptedCoordinator =>
  new ScriptedCoordinator({ refereeMode: 'test', refereeHash: 'aaaaaaaa', ...options });

/** Two proven workers in a step whose shards are all checked. */
function withCheckedShard() {
  const coordinator = createCoordinator({ verifyRate: 1, epochs: 50 });
  const [first, second] = [coordinator.join(), coordinator.join()];
  coordinator.completePlannedSteps();
  return { coordinator, first, second, task: coordinator.tasksOf(first)[0]! };
}

/** A worker all of whose results were checked, in a step in which one of its shards is drawn and another is not. */
function withUncheckedShard() {
  for (let verifySalt = 1; ; verifySalt++) {
    const coordinator = createCoordinator({ verifyRate: 0.4, verifySalt, microbatchSize: 1, epochs: 400 });
    // Sixteen microbatches for five workers: some shares are no node of the tree.
    const [liar] = Array.from({ length: 5 }, () => coordinator.join()) as [ConnectionId, ...ConnectionId[]];
    const isDrawn = ({ step, lo }: Task): boolean => {
      const worker = coordinator.state.connections.get(liar)!;
      return (
        worker.checked === 0 || isDrawnForCheck(coordinator.state, { step, lo }, checkRate(coordinator.state, worker))
      );
    };
    while (coordinator.state.records.get('w1')?.uncheckedFrom === undefined) {
      const tasks = coordinator.tasksOf(liar);
      const [drawn, other] = [tasks.find(isDrawn), tasks.find((task) => !isDrawn(task))];
      if (drawn && other) return { coordinator, liar, drawn, other };
      coordinator.completeSteps(1);
    }
  }
}

const shardsOf = ({ state }: ScriptedCoordinator, connection: ConnectionId): number =>
  state.records.get(state.connections.get(connection)?.workerId ?? '')?.shards ?? -1;

describe('a shard that is drawn for a check', () => {
  it('is given to one worker, computed by the coordinator once that has answered, and counts for the worker', () => {
    const { coordinator, first, second, task } = withCheckedShard();
    expect(coordinator.tasksOf(second)).not.toContainEqual(task);
    const before = shardsOf(coordinator, first);
    const effects = coordinator.gradient(first, task);
    expect(effects).toContainEqual({ type: 'referee', ...task });
    expectAdded(effects, task, first);
    expect(shardsOf(coordinator, first)).toBe(before + 1);
  });

  it('counts as the coordinator computes it if its worker lies, even if all lie alike: each is refused', () => {
    const { coordinator, first, second, task } = withCheckedShard();
    const other = coordinator.tasksOf(second)[0]!;
    coordinator.liars.add(first).add(second);
    for (const [at, [liar, shard]] of (
      [
        [first, task],
        [second, other],
      ] as const
    ).entries()) {
      const effects = coordinator.gradient(liar, shard);
      expectAdded(effects, shard, 0);
      expect(sentTo(liar, effects)).toEqual(['refuse', 'close']);
      const workerId = `w${at + 1}`;
      expect(eventsOf(effects)).toContainEqual(expect.objectContaining({ type: 'quarantined', workerId }));
    }
    expect(coordinator.state.faults.quarantined).toBe(2);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
    coordinator.join();
    coordinator.finish();
  });

  it('begins the step again if a liar has contributed to it, and to none before', () => {
    const { coordinator, liar, drawn, other } = withUncheckedShard();
    coordinator.liars.add(liar);
    coordinator.gradient(liar, other);
    const { step } = coordinator.state.current;
    expect(coordinator.gradient(liar, drawn)).toContainEqual({ type: 'restartStep', step });
    expect(coordinator.state).toMatchObject({ current: { step }, rewinds: [] });
    coordinator.completeSteps(1);
    expect(coordinator.state.current.step).toBe(step + 1);
  });

  it("needs no check if the coordinator's own worker computes it", () => {
    const coordinator = createCoordinator({ verifyRate: 1 });
    const own = coordinator.join({ isOwn: true });
    const [task] = coordinator.tasksOf(own) as [Task];
    expect(typesOf(coordinator.gradient(own, task))).not.toContain('referee');
    expect(coordinator.state.checked).toEqual({ shards: 1, of: 1 });
  });
});

it.each([false, true])('a suspect result is computed by the coordinator at once; wrong: %s', (isWrong) => {
  const coordinator = createCoordinator({ epochs: 4 });
  const only = coordinator.join();
  if (isWrong) coordinator.liars.add(only);
  const [task] = coordinator.tasksOf(only) as [Task];
  const message = { type: 'gradient', ...task, computeMs: 1, agreesWith: [], isSuspect: true } as const;
  const effects = coordinator.receive(only, message);
  expect(typesOf(effects)).toContain('referee');
  expectAdded(effects, task, isWrong ? 0 : only);
  expect(coordinator.state.faults.quarantined).toBe(isWrong ? 1 : 0);
  expect(exactnessOf(coordinator.state)).toBe('bit-exact');
});

it.each([false, true])('a worker on trial is not believed alone, however fast it is; it lies: %s', (lies) => {
  const coordinator = createCoordinator({ epochs: 50 });
  const proven = coordinator.join();
  coordinator.completeSteps(2);
  const newcomer = coordinator.join({ isNewcomer: true });
  while (coordinator.tasksOf(newcomer).length === 0) coordinator.completeSteps(1);
  const task = coordinator.tasksOf(newcomer)[0]!;
  expect(coordinator.tasksOf(proven)).toContainEqual(task);
  if (lies) coordinator.liars.add(newcomer);
  expect(typesOf(coordinator.gradient(newcomer, task))).not.toContain('add');
  expectAdded(coordinator.gradient(proven, task), task, proven);
  expect(coordinator.state.faults.quarantined).toBe(lies ? 1 : 0);
  expect(exactnessOf(coordinator.state)).toBe('bit-exact');
});

describe('a newcomer', () => {
  const isProven = ({ state }: ScriptedCoordinator, connection: ConnectionId): boolean | undefined =>
    state.connections.get(connection)?.isProven;
  const owed = ({ state }: ScriptedCoordinator): number =>
    [...state.current.shards.values()].filter(({ assignments }) => assignments.length > 0).length;

  /** A newcomer, and a proven worker that completes the newcomer's microbatch and the step before the newcomer does. */
  function overtaken({ isAddedChecked = true } = {}) {
    const coordinator = createCoordinator({ epochs: 50 });
    coordinator.isAddedChecked = isAddedChecked;
    const proven = coordinator.join();
    const newcomer = coordinator.join({ isNewcomer: true });
    while (coordinator.tasksOf(newcomer).length === 0) coordinator.answerAll(proven);
    const [task] = coordinator.tasksOf(newcomer) as [Task];
    coordinator.answerAll(proven);
    expect(coordinator.state.current.step).toBe(task.step + 1);
    return { coordinator, proven, newcomer, task };
  }

  it.each([1, 2, 8, 20])(
    'among %i gets one microbatch, and the coordinator computes that of one after another',
    (count) => {
      const coordinator = createCoordinator({ startWorkers: count, steps: 1 });
      const newcomers = Array.from({ length: count }, () => coordinator.join({ isNewcomer: true, samplesPerMs: 1e6 }));
      expect(owed(coordinator)).toBe(Math.min(count, 8));
      expect(newcomers.flatMap((newcomer) => coordinator.tasksOf(newcomer)).every(({ n }) => n === 1)).toBe(true);
      const [first] = newcomers as [ConnectionId];
      expect(typesOf(coordinator.gradient(first, coordinator.tasksOf(first)[0]!))).toContain('referee');
      expect(newcomers.filter((newcomer) => isProven(coordinator, newcomer))).toEqual([first]);
      coordinator.finish();
      const refereed = coordinator.effects.filter(({ type }) => type === 'referee').length;
      expect(refereed).toBeLessThanOrEqual(Math.min(count, 8));
      expect(coordinator.state.checked.shards).toBeGreaterThanOrEqual(refereed);
      expect(coordinator.state.checked.of).toBeGreaterThanOrEqual(coordinator.state.checked.shards);
    },
  );

  it('that lies from the first step adds nothing, though no other worker is there', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const liar = coordinator.join({ isNewcomer: true });
    coordinator.liars.add(liar);
    const [task] = coordinator.tasksOf(liar) as [Task];
    expectAdded(coordinator.gradient(liar, task), task, 0);
    expect(coordinator.state.faults.quarantined).toBe(1);
    coordinator.join({ isNewcomer: true });
    coordinator.completeRun();
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });

  it('is not confirmed by another one, even if both lie in the same way', () => {
    const coordinator = createCoordinator({ steps: 1, verifyRate: 1, batch: 2, samples: 2 });
    const [one, other] = [coordinator.join({ isNewcomer: true }), coordinator.join({ isNewcomer: true })];
    const [task] = coordinator.tasksOf(one) as [Task];
    for (const liar of [one, other]) coordinator.liars.add(liar);
    const effects = coordinator.receive(one, { type: 'gradient', ...task, computeMs: 1, agreesWith: [other] });
    expect(typesOf(effects)).toContain('referee');
    expect(isProven(coordinator, one)).toBeUndefined();
  });

  it.each([false, true])('whose results are always late is judged by the sum that was added; it lies: %s', (lies) => {
    const { coordinator, newcomer, task } = overtaken();
    if (lies) coordinator.liars.add(newcomer);
    coordinator.gradient(newcomer, task);
    expect(isProven(coordinator, newcomer)).toBe(lies ? undefined : true);
    expect(coordinator.state.faults.quarantined).toBe(lies ? 1 : 0);
    if (!lies) expect(shardsOf(coordinator, newcomer)).toBe(0);
  });

  it('is not proven by a late result whose sum is not kept, and gets another trial', () => {
    const { coordinator, proven, newcomer, task } = overtaken();
    coordinator.receive(newcomer, { type: 'gradient', ...task, computeMs: 1 });
    expect(isProven(coordinator, newcomer)).toBe(false);
    while (coordinator.tasksOf(newcomer).length === 0) coordinator.answerAll(proven);
  });

  it.each(['newcomer', 'proven'] as const)(
    'that differs late from a sum that nothing confirmed has its next trial computed by the coordinator: the %s lies',
    (who) => {
      const run = overtaken({ isAddedChecked: false });
      const { coordinator, proven, newcomer, task } = run;
      coordinator.receive(newcomer, {
        ...{ type: 'gradient', ...task, computeMs: 1 },
        comparison: { isSame: false, isChecked: false },
      });
      expect(coordinator.state.faults.quarantined).toBe(0);
      coordinator.liars.add(run[who]);
      while (coordinator.tasksOf(newcomer).length === 0) coordinator.answerAll(proven);
      const [next] = coordinator.tasksOf(newcomer) as [Task];
      expect(coordinator.gradient(proven, next)).toContainEqual({ type: 'referee', ...next });
      if (who === 'proven') expect(coordinator.connections).not.toContain(proven);
      else {
        coordinator.isAddedChecked = true;
        coordinator.gradient(newcomer, next);
        expect(coordinator.connections).not.toContain(newcomer);
      }
    },
  );

  it('that never answers delays no step', () => {
    const coordinator = createCoordinator({ epochs: 2, startWorkers: 2 });
    coordinator.join({ isNewcomer: true });
    const honest = coordinator.join({ isNewcomer: true });
    for (let round = 0; round < 100 && coordinator.state.phase === 'training'; round++) coordinator.answerAll(honest);
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.nowMs).toBe(0);
  });

  it('that was given what only late workers owe takes it from them a microbatch at a time', () => {
    const coordinator = createCoordinator({ epochs: 50 });
    const frozen = coordinator.join();
    coordinator.completeSteps(2);
    const newcomer = coordinator.join({ isNewcomer: true });
    const { step } = coordinator.state.current;
    for (let waited = 0; waited < 10 && coordinator.state.current.step === step; waited++) {
      coordinator.wait(300);
      coordinator.pong(frozen, newcomer);
      expect(coordinator.tasksOf(newcomer).every(({ n }) => n === 1 || isProven(coordinator, newcomer))).toBe(true);
      coordinator.answerAll(newcomer);
    }
    expect(coordinator.state.current.step).toBeGreaterThan(step);
    expect(isProven(coordinator, newcomer)).toBe(true);
    expect(coordinator.connections).toContain(frozen);
  });

  it('stays proven when a neighbor at its address fails', () => {
    const coordinator = createCoordinator({ epochs: 50 });
    const open = (): ConnectionId => {
      const connection = coordinator.open('10.0.0.1');
      coordinator.hello(connection);
      coordinator.numericsResult(connection);
      return connection;
    };
    const first = open();
    coordinator.completeSteps(1);
    expect(isProven(coordinator, first)).toBe(true);
    coordinator.dispatch({ type: 'invalid', connection: open(), closeCode: 1002, message: 'garbage' });
    expect(isProven(coordinator, first)).toBe(true);
    // The next newcomer from that address needs more confirmed results.
    const next = open();
    coordinator.completeSteps(8);
    expect(coordinator.state.connections.get(next)?.confirmed).toBeGreaterThanOrEqual(2);
    expect(isProven(coordinator, next)).toBe(true);
  });
});

describe('which shards are checked', () => {
  it.each([0, 0.02, 0.5, 1])('is drawn at a rate of %d', (verifyRate) => {
    const setup = { ...new ScriptedCoordinator({ verifyRate }).setup, verifySalt: 77 };
    const draws = Array.from({ length: 20_000 }, (_, step) =>
      isDrawnForCheck({ setup, rewinds: [] }, { step: step >> 2, lo: step & 3 }),
    );
    const share = draws.filter(Boolean).length / draws.length;
    expect(Math.abs(share - verifyRate)).toBeLessThan(0.01);
  });

  it('depends on the salt, which workers do not know, and is drawn again after the run went back', () => {
    const { setup } = new ScriptedCoordinator({ verifyRate: 0.5 });
    const drawn = (verifySalt: number, rewinds: CoordinatorState['rewinds'] = []) =>
      Array.from({ length: 1_000 }, (_, step) =>
        isDrawnForCheck({ setup: { ...setup, verifySalt }, rewinds }, { step, lo: 0 }),
      );
    const again = drawn(1, [{ workerId: 'w1', from: 9, to: 3 }]);
    for (const [one, other] of [
      [drawn(1), drawn(2)],
      [drawn(1), again],
      [drawn(2), again],
    ] as const) {
      const equal = one.filter((isChosen, step) => isChosen === other[step]).length;
      expect(Math.abs(equal - 500)).toBeLessThan(80);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { exactnessOf } from '../../src/coordinator/run-account.ts';
import { isDrawnForCheck } from '../../src/coordinator/schedule.ts';
import type { ConnectionId } from '../../src/coordinator/state.ts';

import { type CoordinatorOptions, eventsOf, ScriptedCoordinator, sentTo, type Task } from './scripted-coordinator.ts';

/** A coordinator that computes as its workers do. */
const createCoordinator = (options: CoordinatorOptions): ScriptedCoordinator =>
  new ScriptedCoordinator({ refereeMode: 'test', refereeHash: 'aaaaaaaa', ...options });

/** Two proven workers in a step whose every shard the coordinator computes as well. */
function withCheckedShard() {
  const coordinator = createCoordinator({ verifyRate: 1, epochs: 50 });
  const [first, second] = [coordinator.join(), coordinator.join()];
  coordinator.completePlannedSteps();
  return { coordinator, first, second, task: coordinator.tasksOf(first)[0]! };
}

const typesOf = (effects: readonly { readonly type: string }[]): string[] => effects.map(({ type }) => type);
const shardsOf = ({ state }: ScriptedCoordinator, connection: ConnectionId): number =>
  state.records.get(state.connections.get(connection)?.workerId ?? '')?.shards ?? -1;

describe('a shard that is drawn for a check', () => {
  it('is computed by the coordinator once its worker has answered, and counts for the worker', () => {
    const { coordinator, first, task } = withCheckedShard();
    const before = shardsOf(coordinator, first);
    const effects = coordinator.gradient(first, task);
    expect(effects).toContainEqual({ type: 'referee', ...task });
    expect(effects).toContainEqual(expect.objectContaining({ type: 'add', ...task, from: first }));
    expect(shardsOf(coordinator, first)).toBe(before + 1);
  });

  it('is given to one worker alone', () => {
    const { coordinator, second, task } = withCheckedShard();
    expect(coordinator.tasksOf(second)).not.toContainEqual(task);
  });

  it("whose worker lies is the coordinator's own: the liar is refused, and adds nothing", () => {
    const { coordinator, first: liar, task } = withCheckedShard();
    coordinator.liars.add(liar);
    const effects = coordinator.gradient(liar, task);
    expect(effects).toContainEqual(expect.objectContaining({ type: 'add', ...task, from: 0 }));
    expect(sentTo(liar, effects)).toEqual(['refuse', 'close']);
    expect(eventsOf(effects)).toContainEqual(expect.objectContaining({ type: 'quarantined', workerId: 'w1' }));
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('unverified');
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('is found out where all workers lie alike', () => {
    const { coordinator, first, second, task } = withCheckedShard();
    const other = coordinator.tasksOf(second)[0]!;
    coordinator.liars.add(first).add(second);
    expect(coordinator.gradient(first, task)).toContainEqual(
      expect.objectContaining({ type: 'add', ...task, from: 0 }),
    );
    expect(coordinator.gradient(second, other)).toContainEqual(
      expect.objectContaining({ type: 'add', ...other, from: 0 }),
    );
    expect(coordinator.state.faults.quarantined).toBe(2);
  });

  it('begins the step again if a liar has contributed to it already', () => {
    const coordinator = createCoordinator({ verifyRate: 0.4, epochs: 400 });
    const [liar] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const isDrawn = ({ step, lo }: Task): boolean => isDrawnForCheck(coordinator.setup, step, lo);
    const owned = () => coordinator.tasksOf(liar);
    while (!(owned().some(isDrawn) && owned().some((task) => !isDrawn(task)))) coordinator.completeSteps(1);
    coordinator.liars.add(liar);
    const [drawn, other] = [owned().find(isDrawn)!, owned().find((task) => !isDrawn(task))!];
    coordinator.gradient(liar, other);
    const { step } = coordinator.state.current;
    expect(coordinator.gradient(liar, drawn)).toContainEqual({ type: 'restartStep', step });
    expect(coordinator.state.current.step).toBe(step);
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

describe('a result that is suspect', () => {
  it('is computed by the coordinator at once, and counts where it was right', () => {
    const coordinator = createCoordinator({ epochs: 4 });
    const only = coordinator.join();
    const [task] = coordinator.tasksOf(only) as [Task];
    const message = { type: 'gradient', ...task, computeMs: 1, agreesWith: [], isSuspect: true } as const;
    const effects = coordinator.receive(only, message);
    expect(typesOf(effects)).toContain('referee');
    expect(effects).toContainEqual(expect.objectContaining({ type: 'add', ...task, from: only }));
    expect(coordinator.state.faults.quarantined).toBe(0);
  });

  it('ends its worker where it was wrong, without harm to the step', () => {
    const coordinator = createCoordinator({ epochs: 4 });
    const only = coordinator.join();
    coordinator.liars.add(only);
    const [task] = coordinator.tasksOf(only) as [Task];
    const message = { type: 'gradient', ...task, computeMs: 1, agreesWith: [], isSuspect: true } as const;
    expect(coordinator.receive(only, message)).toContainEqual(
      expect.objectContaining({ type: 'add', ...task, from: 0 }),
    );
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});

describe('a worker on trial', () => {
  /** A worker that joins beside a proven one, in the step in which it is on trial. */
  function withTrial() {
    const coordinator = createCoordinator({ epochs: 50 });
    const proven = coordinator.join();
    coordinator.completeSteps(2);
    const newcomer = coordinator.join({ isNewcomer: true });
    while (coordinator.tasksOf(newcomer).length === 0) coordinator.completeSteps(1);
    return { coordinator, proven, newcomer, task: coordinator.tasksOf(newcomer)[0]! };
  }

  it('is not believed alone, however fast it is', () => {
    const { coordinator, proven, newcomer, task } = withTrial();
    expect(coordinator.tasksOf(proven)).toContainEqual(task);
    expect(typesOf(coordinator.gradient(newcomer, task))).not.toContain('add');
    expect(coordinator.gradient(proven, task)).toContainEqual(
      expect.objectContaining({ type: 'add', ...task, from: proven }),
    );
  });

  it('is found out where it lies before the proven worker answers', () => {
    const { coordinator, proven, newcomer, task } = withTrial();
    coordinator.liars.add(newcomer);
    coordinator.gradient(newcomer, task);
    expect(coordinator.gradient(proven, task)).toContainEqual(
      expect.objectContaining({ type: 'add', ...task, from: proven }),
    );
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});

describe('a newcomer', () => {
  const isProven = ({ state }: ScriptedCoordinator, connection: ConnectionId): boolean | undefined =>
    state.connections.get(connection)?.isProven;
  const owed = ({ state }: ScriptedCoordinator): number =>
    [...state.current.shards.values()].filter(({ owners }) => owners.length > 0).length;

  /** A newcomer next to a proven worker that has done the newcomer's microbatch, and the step, before it answers. */
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
      coordinator.completeRun();
      expect(coordinator.state.phase).toBe('finished');
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
    expect(coordinator.gradient(liar, task)).toContainEqual(expect.objectContaining({ type: 'add', ...task, from: 0 }));
    expect(coordinator.state.faults.quarantined).toBe(1);
    coordinator.join({ isNewcomer: true });
    coordinator.completeRun();
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });

  it('is not confirmed by another one, even where both lie in the same way', () => {
    const coordinator = createCoordinator({ steps: 1, verifyRate: 1, batch: 2, samples: 2 });
    const [one, other] = [coordinator.join({ isNewcomer: true }), coordinator.join({ isNewcomer: true })];
    const [task] = coordinator.tasksOf(one) as [Task];
    for (const liar of [one, other]) coordinator.liars.add(liar);
    const effects = coordinator.receive(one, { type: 'gradient', ...task, computeMs: 1, agreesWith: [other] });
    expect(typesOf(effects)).toContain('referee');
    expect(isProven(coordinator, one)).toBeUndefined();
  });

  it('whose results are always late is proven by one that equals the sum that was added', () => {
    const { coordinator, newcomer, task } = overtaken();
    coordinator.gradient(newcomer, task);
    expect(isProven(coordinator, newcomer)).toBe(true);
    expect(shardsOf(coordinator, newcomer)).toBe(0);
  });

  it('is not proven by a late result whose sum is not kept, and gets another trial', () => {
    const { coordinator, proven, newcomer, task } = overtaken();
    coordinator.receive(newcomer, { type: 'gradient', ...task, computeMs: 1 });
    expect(isProven(coordinator, newcomer)).toBe(false);
    while (coordinator.tasksOf(newcomer).length === 0) coordinator.answerAll(proven);
  });

  it('that lies late is ended where the sum was compared before', () => {
    const { coordinator, newcomer, task } = overtaken();
    coordinator.liars.add(newcomer);
    coordinator.gradient(newcomer, task);
    expect(coordinator.connections).not.toContain(newcomer);
    expect(coordinator.state.faults.quarantined).toBe(1);
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
    // A newcomer from there has more to show.
    const next = open();
    coordinator.completeSteps(8);
    expect(coordinator.state.connections.get(next)?.confirmed).toBeGreaterThanOrEqual(2);
    expect(isProven(coordinator, next)).toBe(true);
  });
});

describe('which shards are checked', () => {
  it.each([0, 0.02, 0.5, 1])('is drawn at a rate of %d', (verifyRate) => {
    const setup = { ...new ScriptedCoordinator({ verifyRate }).setup, verifySalt: 77 };
    const draws = Array.from({ length: 20_000 }, (_, step) => isDrawnForCheck(setup, step >> 2, step & 3));
    const share = draws.filter(Boolean).length / draws.length;
    expect(Math.abs(share - verifyRate)).toBeLessThan(0.01);
  });

  it('depends on the salt, which workers do not know', () => {
    const { setup } = new ScriptedCoordinator({ verifyRate: 0.5 });
    const drawn = (verifySalt: number) =>
      Array.from({ length: 1_000 }, (_, step) => isDrawnForCheck({ ...setup, verifySalt }, step, 0));
    const [one, other] = [drawn(1), drawn(2)];
    const equal = one.filter((isChosen, step) => isChosen === other[step]).length;
    expect(Math.abs(equal - 500)).toBeLessThan(80);
  });
});

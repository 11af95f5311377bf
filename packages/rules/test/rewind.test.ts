/** How a run goes back after a worker was caught, what it keeps for that, and how often a worker's results are checked. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimOf, exactnessOf, historyOf } from '../src/run-account.ts';
import type { ConnectionId } from '../src/state.ts';
import { checkRate, originOf } from '../src/track-record.ts';
import { type CoordinatorOptions, eventsOf, ScriptedCoordinator, sentTo, typesOf } from './scripted-coordinator.ts';

const own = { refereeMode: 'test', refereeHash: 'aaaaaaaa' };

/** Two proven workers of a run that checks no result by itself, so that only a doubted one is compared. */
function pair(options: CoordinatorOptions = {}) {
  const coordinator = new ScriptedCoordinator({ epochs: 50, keptStates: 4, ...own, ...options });
  const [liar, honest] = [coordinator.join({ address: 'a' }), coordinator.join({ address: 'b' })] as const;
  return { coordinator, liar, honest };
}

/** Catches a worker of the coordinator's numeric mode: it calls a shard non-finite that the coordinator finds finite. */
function catchWorker(coordinator: ScriptedCoordinator, connection: ConnectionId) {
  if (coordinator.tasksOf(connection).length === 0) coordinator.completeSteps(1);
  return coordinator.nonFinite(connection, coordinator.tasksOf(connection)[0]!);
}

/** Completes steps until a worker, whose results are wrong from now on, is caught by a check. */
function lieUntilCaught(coordinator: ScriptedCoordinator, connection: ConnectionId): void {
  coordinator.liars.add(connection);
  while (coordinator.state.connections.has(connection)) coordinator.completeSteps(1);
}

const uncheckedFrom = ({ state }: ScriptedCoordinator, workerId: string) => state.records.get(workerId)?.uncheckedFrom;

describe('a run whose worker is caught', () => {
  it('goes back to the first step that contains a result of the worker, and takes the steps again without it', () => {
    const { coordinator, liar, honest } = pair();
    coordinator.completeSteps(7);
    expect(uncheckedFrom(coordinator, 'w1')).toBe(0);
    expect(uncheckedFrom(coordinator, 'w2')).toBeGreaterThan(0);
    const effects = catchWorker(coordinator, liar);
    expect(typesOf(effects)).toContain('goBack');
    expect(eventsOf(effects)).toContainEqual({ type: 'wentBack', workerId: 'w1', from: 7, to: 0 });
    expect(sentTo(liar, effects)).toEqual(['refuse', 'close']);
    expect(sentTo(honest, effects)).toEqual(['goBack']);
    expect(coordinator.state).toMatchObject({ current: { step: 0 }, rewinds: [{ workerId: 'w1', from: 7, to: 0 }] });
    expect(coordinator.state.next).toBeUndefined();
    expect(uncheckedFrom(coordinator, 'w2')).toBeUndefined();
    coordinator.finish();
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
    expect(coordinator.state.checked.of).toBeGreaterThan(0);
  });

  it('keeps the steps before the worker contributed', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 50, keptStates: 4, ...own });
    coordinator.join();
    coordinator.completeSteps(6);
    const late = coordinator.join();
    coordinator.completeSteps(6);
    const first = uncheckedFrom(coordinator, 'w2')!;
    expect(first).toBeGreaterThan(5);
    const { checked, contributed } = coordinator.state.kept.at(-1)!;
    expect(coordinator.state.kept.map(({ step }) => step)).toEqual([0, first]);
    catchWorker(coordinator, late);
    expect(coordinator.state).toMatchObject({ current: { step: first }, checked, contributed });
    expect(uncheckedFrom(coordinator, 'w1')).toBe(0);
  });

  it('forgets numeric modes that only the steps that are taken again had', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 50, keptStates: 4, verifyRate: 0.3, ...own });
    coordinator.join();
    coordinator.completeSteps(3);
    const other = coordinator.join({ backend: 'webgl', numericMode: 'other', hash: 'bbbbbbbb' });
    coordinator.completeSteps(6);
    expect(claimOf(coordinator.state).exactness).toBe('sample-exact');
    lieUntilCaught(coordinator, other);
    coordinator.completeSteps(1);
    expect(claimOf(coordinator.state)).toMatchObject({ exactness: 'bit-exact', numericMode: 'test' });
  });

  it('ignores the results of a worker until it has answered, and assigns it nothing: they are of other weights', () => {
    const { coordinator, liar, honest } = pair();
    coordinator.completeSteps(7);
    const stale = coordinator.tasksOf(honest)[0]!;
    catchWorker(coordinator, liar);
    for (const task of [stale, { step: 0, lo: 0, n: 8 }]) expect(coordinator.gradient(honest, task)).toEqual([]);
    expect(coordinator.receive(honest, { type: 'taskError', ...stale, code: 'failed', message: '' })).toEqual([]);
    expect(coordinator.tasksOf(honest)).toEqual([]);
    const effects = coordinator.receive(honest, { type: 'wentBack' });
    expect(sentTo(honest, effects)).toEqual(['sendWeights', 'sendTask']);
    expect(coordinator.tasksOf(honest)).toEqual([{ step: 0, lo: 0, n: 8 }]);
  });

  it('gives up a worker that does not answer', () => {
    const { coordinator, liar, honest } = pair();
    coordinator.completeSteps(7);
    catchWorker(coordinator, liar);
    for (let seconds = 0; seconds < 16; seconds++) {
      coordinator.receive(honest, { type: 'ping', sentAtMs: 0 });
      coordinator.wait(1_000);
    }
    expect(coordinator.state.connections.has(honest)).toBe(false);
    expect(eventsOf(coordinator.effects).at(-2)).toMatchObject({
      type: 'left',
      message: 'it did not go back with the run',
    });
  });

  it('goes back to before workers of its address that have left, which may have been the same one', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 50, keptStates: 4, ...own });
    const [first] = [coordinator.join({ address: 'a' }), coordinator.join({ address: 'b' })];
    coordinator.completeSteps(5);
    coordinator.close(first);
    coordinator.completeSteps(5);
    const again = coordinator.join({ address: 'a', isNewcomer: true });
    expect(coordinator.workerId(again)).toBe('w3');
    coordinator.completeSteps(8);
    catchWorker(coordinator, again);
    expect(coordinator.state.rewinds).toMatchObject([{ workerId: 'w3', to: 0 }]);
  });

  it.each([
    ['has contributed before a checkpoint', 'a', 'unverified'],
    ['has another address', 'c', 'bit-exact'],
  ])('goes back to its checkpoint, and is unverified only if the worker %s', (_case, address, exactness) => {
    const { coordinator: before } = pair({ verifySalt: 7 });
    before.completeSteps(5);
    const history = JSON.parse(JSON.stringify(historyOf(before.state, 0)));
    expect(JSON.stringify(history)).not.toContain('"a"');
    const after = new ScriptedCoordinator({ epochs: 50, keptStates: 4, ...own, firstStep: 5, history, verifySalt: 8 });
    const [worker] = [after.join({ address }), after.join({ address: 'd' })];
    after.completeSteps(4);
    catchWorker(after, worker);
    after.completeSteps(2);
    expect(exactnessOf(after.state)).toBe(exactness);
    expect(after.state.rewinds).toMatchObject([{ to: 5 }]);
    const later = new ScriptedCoordinator({ epochs: 50, ...own, firstStep: 9, history: historyOf(after.state, 0) });
    expect(exactnessOf(later.state)).toBe(exactness);
  });
});

it('a history of an earlier release with a liar that had contributed stays unverified', () => {
  const { coordinator, liar } = pair();
  coordinator.completeSteps(5);
  catchWorker(coordinator, liar);
  coordinator.completeSteps(5);
  const { isTainted: _, ...history } = historyOf(coordinator.state, 0);
  const { state } = new ScriptedCoordinator({ ...own, firstStep: 5, history });
  expect(exactnessOf(state)).toBe('unverified');
});

describe('a relay that has caught a worker', () => {
  it.each([
    ['relay', 1],
    ['node', 0],
  ] as const)('takes its sums back: the run goes back only if a relay asks, here a %s', (kind, rewinds) => {
    const coordinator = new ScriptedCoordinator({ epochs: 2, keptStates: 4, ...own });
    const worker = coordinator.join({ kind });
    coordinator.completeSteps(5);
    coordinator.receive(worker, { type: 'status', hidden: false, workers: 3, wrongFrom: 3 });
    // The answer may cross a second report.
    coordinator.receive(worker, { type: 'status', hidden: false, workers: 4, wrongFrom: 3 });
    expect(coordinator.state.rewinds).toHaveLength(rewinds);
    expect([...coordinator.state.records.values()][0]?.workersBehind).toBe(kind === 'relay' ? 4 : undefined);
    coordinator.finish();
    expect(claimOf(coordinator.state).exactness).toBe('bit-exact');
  });

  it('can take back only its own sums', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 50, keptStates: 4, ...own });
    coordinator.join();
    coordinator.completeSteps(6);
    const relay = coordinator.join({ kind: 'relay' });
    coordinator.receive(relay, { type: 'status', hidden: false, workers: 1, wrongFrom: 0 });
    expect(coordinator.state.rewinds).toEqual([]);
    coordinator.wentBack(relay);
    coordinator.completeSteps(6);
    const first = uncheckedFrom(coordinator, 'w2')!;
    coordinator.receive(relay, { type: 'status', hidden: false, workers: 1, wrongFrom: 0 });
    expect(coordinator.state.rewinds).toMatchObject([{ workerId: 'w2', to: first }]);
  });

  it('has to wait after it has taken sums back sixteen times, which each cost the run steps', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 400, keptStates: 4, ...own });
    coordinator.join({ address: 'b' });
    const relay = coordinator.join({ kind: 'relay', address: 'a' });
    for (let times = 1; times <= 16; times++) {
      expect(coordinator.state.connections.has(relay), `${times}`).toBe(true);
      coordinator.wentBack(relay);
      while (uncheckedFrom(coordinator, 'w2') === undefined) coordinator.completeSteps(1);
      coordinator.receive(relay, { type: 'status', hidden: false, workers: 1, wrongFrom: 0 });
      expect(coordinator.state.rewinds).toHaveLength(times);
    }
    expect(coordinator.state.connections.has(relay)).toBe(false);
    const again = coordinator.open('a');
    expect(sentTo(again, coordinator.hello(again, { kind: 'relay' }))).toEqual(['refuse', 'close']);
    coordinator.wait(5_000);
    const later = coordinator.open('a');
    expect(sentTo(later, coordinator.hello(later, { kind: 'relay' }))).toContain('welcome');
    coordinator.completeSteps(3);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });

  it('says from which step on, until the run above has gone back', () => {
    const relay = new ScriptedCoordinator({ isRelay: true, ...own });
    const [liar, honest] = [relay.join(), relay.join()];
    for (const step of [3, 4]) {
      relay.dispatch({ type: 'asked', step, lo: 0, n: 8 });
      for (const connection of [liar, honest]) relay.answerAll(connection);
    }
    relay.dispatch({ type: 'asked', step: 5, lo: 0, n: 8 });
    catchWorker(relay, liar);
    expect(relay.state.records.get('w1')).toMatchObject({ uncheckedFrom: 3, quarantined: expect.anything() });
    const effects = relay.dispatch({ type: 'recalled', step: 3 });
    expect(sentTo(honest, effects)).toEqual(['cancel', 'goBack']);
    expect(relay.state.records.get('w1')?.uncheckedFrom).toBeUndefined();
    // A second message needs a second answer.
    relay.dispatch({ type: 'recalled', step: 2 });
    relay.receive(honest, { type: 'wentBack' });
    expect(relay.state.connections.get(honest)?.recalled).toMatchObject({ unanswered: 1 });
    relay.wentBack(honest);
    expect(sentTo(honest, relay.dispatch({ type: 'asked', step: 3, lo: 0, n: 8 }))).toEqual([
      'sendWeights',
      'sendTask',
    ]);
  });
});

it('few states are kept, those that connected workers need first', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3 }),
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 8 }),
      (keptStates, joins) => {
        const coordinator = new ScriptedCoordinator({ epochs: 400, keptStates, ...own });
        coordinator.join();
        for (const steps of joins) {
          coordinator.join();
          coordinator.completeSteps(steps);
        }
        const { kept, records } = coordinator.state;
        const steps = kept.map(({ step }) => step);
        expect(steps.length).toBeLessThanOrEqual(1 + keptStates);
        expect(steps[0]).toBe(0);
        const needed = new Set([...records.values()].flatMap((record) => record.uncheckedFrom ?? []).filter(Boolean));
        if (needed.size <= keptStates) expect(steps.slice(1)).toEqual([...needed].sort((a, b) => a - b));
      },
    ),
    { numRuns: 40 },
  );
});

it('a state that only a departed worker needed is forgotten before others', () => {
  const coordinator = new ScriptedCoordinator({ epochs: 400, keptStates: 2, ...own });
  const workers = [0, 1, 2, 3].map((index) => {
    const connection = coordinator.join();
    coordinator.completeSteps(6);
    if (index === 2) coordinator.close(connection);
    return coordinator.state.records.get(`w${index + 1}`)!.uncheckedFrom!;
  });
  expect(coordinator.state.kept.map(({ step }) => step)).toEqual([0, workers[1], workers[3]]);
});

describe('the rate at which results of a worker are checked', () => {
  const rateOf = (verifyRate: number, checked: number, quarantines: number): number => {
    const coordinator = new ScriptedCoordinator({ verifyRate });
    const connection = coordinator.join({ address: 'a' });
    const worker = { ...coordinator.state.connections.get(connection)!, checked };
    const addresses = new Map([['a', { failures: 9, quarantines }]]);
    return checkRate({ ...coordinator.state, addresses } as Parameters<typeof checkRate>[0], worker);
  };

  it.each([
    [0.01, 0, 0, 1],
    [0.01, 1, 0, 0.5],
    [0.01, 2, 0, 0.25],
    [0.01, 6, 0, 1 / 64],
    [0.01, 7, 0, 0.01],
    [0.01, 1_000, 0, 0.01],
    [0.3, 2, 0, 0.3],
    [1, 9, 0, 1],
    [0, 0, 0, 0],
    // Each quarantine at the address doubles the results that a halving takes.
    [0.01, 1, 1, 1],
    [0.01, 2, 1, 0.5],
    [0.01, 4, 2, 0.5],
    [0.01, 28, 2, 0.01],
  ])('is, at %d in the long run, after %i confirmed results and %i quarantines, %d', (run, checked, times, rate) => {
    expect(rateOf(run, checked, times)).toBe(rate);
  });

  it('begins again for the workers of an address or of another numeric mode when one of them is caught', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 400, verifyRate: 0.3, keptStates: 4, ...own });
    const other = { backend: 'webgl', numericMode: 'other', hash: 'bbbbbbbb' };
    const workers = [
      coordinator.join({ address: 'a' }),
      coordinator.join({ address: 'a' }),
      coordinator.join({ address: 'b' }),
      coordinator.join({ address: 'c', ...other }),
      coordinator.join({ address: 'd', ...other }),
    ];
    coordinator.completeSteps(40);
    const checked = () => workers.map((worker) => coordinator.state.connections.get(worker)?.checked ?? -1);
    expect(Math.min(...checked())).toBeGreaterThan(0);
    catchWorker(coordinator, workers[0]!);
    const [, neighbor, stranger, one, another] = checked();
    expect([neighbor! > 0, stranger! > 0, one! > 0, another! > 0]).toEqual([false, true, true, true]);
    coordinator.completeSteps(4);
    const before = checked()[4]!;
    lieUntilCaught(coordinator, workers[3]!);
    expect(checked()[4]).toBeLessThan(before);
  });

  it('checks the first result of each worker that counts by itself', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 50, verifyRate: 1e-6, ...own });
    const worker = coordinator.join();
    const firstTask = coordinator.tasksOf(worker)[0]!;
    expect(typesOf(coordinator.gradient(worker, firstTask))).toContain('referee');
    expect(coordinator.state.connections.get(worker)?.checked).toBe(1);
  });
});

it('an origin is a short hash of an address, which another run cannot compare', () => {
  const { state } = new ScriptedCoordinator({ verifySalt: 1 });
  const originIn = (originSalt: number, address: string) =>
    originOf({ ...state, originSalt } as Parameters<typeof originOf>[0], address);
  const addresses = Array.from({ length: 2_000 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
  const origins = addresses.map((address) => originIn(1, address)!);
  for (const origin of origins) expect(origin).toBe(origin & 0xffff);
  expect(new Set(origins).size).toBeGreaterThan(1_900);
  const same = addresses.filter((address, at) => originIn(2, address) === origins[at]);
  expect(same.length).toBeLessThan(5);
  expect(originIn(1, '')).toBeUndefined();
});

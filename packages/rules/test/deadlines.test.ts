import { describe, expect, it } from 'vitest';
import { type ConnectionId, defaultLimits } from '../src/index.ts';
import {
  type CoordinatorOptions,
  eventsOf,
  ScriptedCoordinator,
  sentTo,
  sharing,
  started,
} from './scripted-coordinator.ts';

/** Two workers that share a step equally; `quick` has answered, `slow` has not. */
function withSlowWorker(options?: CoordinatorOptions) {
  const { coordinator, first: slow, second: quick } = sharing(2, options);
  const lateTasks = coordinator.tasksOf(slow);
  coordinator.answerAll(quick);
  return { coordinator, slow, quick, lateTasks };
}

describe('a worker past its soft deadline', () => {
  it('has its shards duplicated on idle workers, and the first result completes them', () => {
    const { coordinator, slow, quick, lateTasks } = withSlowWorker();
    coordinator.wait(250);
    expect(coordinator.state.faults.duplicated).toBe(0);
    const { step } = coordinator.state.current;
    expect(eventsOf(coordinator.wait(1))).toEqual([{ type: 'late', workerId: 'w1', step }]);
    expect(coordinator.tasksOf(quick)).toEqual(lateTasks);
    expect(coordinator.state.faults.duplicated).toBe(lateTasks.length);
    for (const task of lateTasks) coordinator.gradient(quick, task);
    expect(coordinator.state.current.step).toBe(step + 1);
    // No shard of the new step is assigned to the late worker.
    expect(coordinator.tasksOf(slow)).toEqual([]);
  });

  it('is assigned shards again after its first answer, at the rate that its lateness shows', () => {
    const { coordinator, slow, quick, lateTasks } = withSlowWorker({ epochs: 8 });
    const rateOf = (): number => coordinator.state.connections.get(slow)!.samplesPerMs;
    const before = rateOf();
    const owed = lateTasks.reduce((sum, { n }) => sum + 2 * n, 0);
    coordinator.wait(1_000);
    coordinator.answerAll(quick);
    expect(coordinator.tasksOf(slow)).toEqual([]);
    expect(rateOf()).toBeLessThan(before);
    expect(rateOf()).toBeCloseTo(owed / 1_000);
    const added = coordinator.added.length;
    coordinator.gradient(slow, lateTasks[0]!);
    expect(coordinator.added).toHaveLength(added);
    expect(coordinator.state.connections.get(slow)!.answerByMs).toBeUndefined();
  });

  it('gets no cancel for a shard that another worker has completed: its answer shows that it is back', () => {
    const { coordinator, slow, quick, lateTasks } = withSlowWorker();
    coordinator.wait(300);
    // The second owner of a shard that the late worker returns after all gets one.
    expect(sentTo(quick, coordinator.gradient(slow, lateTasks[0]!))).toContain('cancel');
    const other = withSlowWorker();
    other.coordinator.wait(300);
    const from = other.coordinator.effects.length;
    other.coordinator.answerAll(other.quick);
    expect(sentTo(other.slow, other.coordinator.effects.slice(from))).not.toContain('cancel');
  });

  it('hands its shard on to a third worker when the second is late too', () => {
    const { coordinator, first, second, third } = sharing(3, { batch: 6, samples: 60, epochs: 4 });
    const lateTasks = coordinator.tasksOf(first);
    expect(lateTasks).toHaveLength(1);
    coordinator.answerAll(second);
    coordinator.wait(300);
    expect(coordinator.tasksOf(second)).toEqual(lateTasks);
    coordinator.answerAll(third);
    coordinator.wait(300);
    expect(coordinator.tasksOf(third)).toEqual(lateTasks);
  });
});

describe('the soft deadline', () => {
  it('counts from the last result: a worker with many shards in a row is not late', () => {
    const coordinator = new ScriptedCoordinator({ batch: 62, samples: 62, steps: 1, startWorkers: 3 });
    const joinSlow = (): number => coordinator.join({ samplesPerMs: 0.01 });
    const [left, middle, right] = [joinSlow(), joinSlow(), joinSlow()];
    const shards = coordinator.tasksOf(middle);
    expect(shards.map(({ n }) => n)).toEqual([4, 4]);
    for (const [index, task] of shards.entries()) {
      // Two samples a microbatch at 0.01 samples per millisecond: exactly the reported rate.
      const computeMs = 200 * task.n;
      coordinator.nowMs += computeMs;
      coordinator.pong(left, middle, right);
      if (index === 0) coordinator.gradient(middle, task, computeMs);
      coordinator.answerAll(left, 2_000);
      coordinator.answerAll(right, 2_000);
      expect(eventsOf(coordinator.wait(0)).filter(({ type }) => type === 'late')).toEqual([]);
    }
    // The worker is late after three times the 800 ms that its last shard should take, and not before.
    expect(eventsOf(coordinator.wait(1_600))).toEqual([]);
    expect(eventsOf(coordinator.wait(1))).toEqual([{ type: 'late', workerId: 'w2', step: 0 }]);
  });

  it('follows the rate of an idle worker if a late one reports a thousandth of it', () => {
    const coordinator = new ScriptedCoordinator({ batch: 4, samples: 4, startWorkers: 2 });
    const [slow, quick] = [coordinator.join({ samplesPerMs: 0.001 }), coordinator.join({ samplesPerMs: 1 })];
    expect(coordinator.tasksOf(quick)).toHaveLength(1);
    coordinator.close(quick);
    expect(coordinator.tasksOf(slow)).toHaveLength(1);
    coordinator.join({ samplesPerMs: 1 });
    // At the reported rate two samples take 4 s, and the deadline would be 12 s.
    expect(eventsOf(coordinator.wait(251))).toEqual([{ type: 'late', workerId: 'w1', step: 0 }]);
  });
});

describe('a newcomer past its soft deadline', () => {
  it('has its microbatch computed by one other newcomer, then by the coordinator, whose result decides', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 4, batch: 2, microbatchSize: 2 });
    const newcomers = Array.from({ length: 4 }, () => coordinator.join({ isNewcomer: true }));
    const assigned = (): ConnectionId[] => newcomers.filter((newcomer) => coordinator.tasksOf(newcomer).length > 0);
    expect(assigned()).toHaveLength(1);
    coordinator.wait(defaultLimits.softDeadlineMs + 1);
    const [, second] = assigned();
    coordinator.gradient(second!, coordinator.tasksOf(second!)[0]!);
    expect(coordinator.wait(1)).toContainEqual(expect.objectContaining({ type: 'referee' }));
    expect(coordinator.state.current.step).toBe(1);
  });
});

describe('a worker past its hard deadline', () => {
  it('is disconnected, even when other workers have long computed its shard', () => {
    const { coordinator, first: slow, second: quick } = sharing(2, { epochs: 100 });
    for (let waited = 0; waited <= 5_000; waited += 100) {
      coordinator.answerAll(quick);
      coordinator.wait(100);
      coordinator.pong(slow, quick);
    }
    expect(coordinator.connections).toEqual([quick]);
  });

  it('is disconnected when it is the only one, and the run pauses', () => {
    const { coordinator, first: only } = started(1);
    for (let waited = 0; waited < 5_000; waited += 1_000) {
      coordinator.wait(1_000);
      coordinator.pong(only);
    }
    expect(coordinator.state.phase).toBe('training');
    expect(sentTo(only, coordinator.wait(1))).toContain('close');
    expect(coordinator.state.phase).toBe('paused');
  });
});

describe('a worker that says how many bytes have arrived', () => {
  /**
   * Reports bytes received at `bytesPerMs` with each heartbeat until `forMs`; then only answers pings.
   * @returns the time of the disconnect
   */
  function disconnectedAtMs(bytesPerMs: number, forMs: number): number {
    const { coordinator, first: only } = started(1);
    const startedAtMs = coordinator.nowMs;
    const waitedMs = (): number => coordinator.nowMs - startedAtMs;
    while (coordinator.state.connections.has(only)) {
      coordinator.wait(500);
      if (waitedMs() > forMs) coordinator.pong(only);
      else if (waitedMs() % 2_000 === 0) {
        const receivedBytes = bytesPerMs * waitedMs();
        coordinator.receive(only, { type: 'ping', sentAtMs: coordinator.nowMs, receivedBytes });
      }
    }
    return waitedMs();
  }

  it('gets more time only while they arrive at 256 kbit/s or faster', () => {
    const until = 40_000;
    expect(disconnectedAtMs(0, until)).toBe(5_500);
    expect(disconnectedAtMs(16, until)).toBeLessThan(12_000);
    for (const bytesPerMs of [32, 1e3, 1e9]) {
      expect(disconnectedAtMs(bytesPerMs, until)).toBe(until + 5_500);
    }
  });
});

describe('a silent connection', () => {
  it('is closed after 15 s, and not before', () => {
    const { coordinator, first: only } = started(1, { limits: { hardDeadlineMs: 60_000 } });
    coordinator.wait(15_000);
    expect(coordinator.state.connections.has(only)).toBe(true);
    expect(eventsOf(coordinator.wait(1))).toContainEqual({ type: 'left', workerId: 'w1', message: 'silent for 15 s' });
  });

  it('is closed after 5 s without a hello, and after 30 s without a numerics result', () => {
    const coordinator = new ScriptedCoordinator();
    const [silent, checked] = [coordinator.open(), coordinator.open()];
    coordinator.hello(checked);
    coordinator.wait(5_000);
    expect(coordinator.state.connections.size).toBe(2);
    expect(sentTo(silent, coordinator.wait(1))).toContain('close');
    for (let waited = 5_001; waited <= 30_000; waited += 4_999) {
      coordinator.wait(4_999);
      coordinator.pong(checked);
    }
    expect(coordinator.state.connections.size).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import {
  createCoordinator,
  eventsOf,
  nonFinite,
  playOut,
  type ScriptedCoordinator,
  sentTo,
  shareAnew,
} from './scripted-coordinator.ts';

describe('socket closes, process killed, tab closed mid-task', () => {
  it('gives its shards back at once, in the very event', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const lost = coordinator.tasksOf(first);
    expect(lost.length).toBeGreaterThan(0);
    const effects = coordinator.send({ type: 'closed', connection: first });
    const given = effects.filter((effect) => effect.type === 'sendTask' && effect.connection === second);
    expect(given.length).toBeGreaterThanOrEqual(lost.length);
    expect(eventsOf(effects)).toContainEqual({ type: 'left', workerId: 'w1', message: 'its connection closed' });
    expect(coordinator.state.faults.disconnects).toBe(1);
    expect(coordinator.state.faults.reassigned).toBeGreaterThanOrEqual(lost.length);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });

  it('completes the step without waiting, where all that is left to do was the idle workers’', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const first = coordinator.join();
    const [second, third] = [coordinator.join(), coordinator.join()];
    const whole = coordinator.tasksOf(first);
    expect(whole).toEqual([{ step: 0, lo: 0, n: 8 }]);
    coordinator.send({ type: 'closed', connection: first });
    // One shard and two idle workers: it is halved, so that neither waits for the other.
    expect(coordinator.tasksOf(second)).toEqual([{ step: 0, lo: 0, n: 4 }]);
    expect(coordinator.tasksOf(third)).toEqual([{ step: 0, lo: 4, n: 4 }]);
  });

  it('says goodbye: the same, and its socket is closed', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.handleMessage(first, { type: 'bye', message: 'worker 1 leaves' });
    expect(sentTo(first, effects)).toEqual(['close']);
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
  });
});

describe('frozen, half-open, hidden tab, straggler', () => {
  it('has its shards duplicated on idle workers after the soft deadline, and the first result wins', () => {
    const coordinator = createCoordinator();
    const [slow, quick] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const pauseRequested = coordinator.tasksOf(slow);
    coordinator.answerAll(quick);
    coordinator.wait(250);
    expect(coordinator.state.faults.duplicated).toBe(0);
    const effects = coordinator.wait(1);
    expect(eventsOf(effects)).toEqual([{ type: 'late', workerId: 'w1', step: coordinator.state.current.step }]);
    expect(coordinator.tasksOf(quick)).toEqual(pauseRequested);
    expect(coordinator.state.faults.duplicated).toBe(pauseRequested.length);
    const step = coordinator.state.current.step;
    for (const task of pauseRequested) coordinator.gradient(quick, task);
    expect(coordinator.state.current.step).toBe(step + 1);
    // Nothing of the new step went to the late worker.
    expect(coordinator.tasksOf(slow)).toEqual([]);
  });

  it('is back with its first answer, with a smaller share', () => {
    const coordinator = createCoordinator({ epochs: 8 });
    const [slow, quick] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const before = coordinator.state.connections.get(slow)!.samplesPerMs;
    const [lateTask] = coordinator.tasksOf(slow);
    const owed = coordinator.tasksOf(slow).reduce((sum, { n }) => sum + 2 * n, 0);
    coordinator.answerAll(quick);
    coordinator.wait(1_000);
    coordinator.answerAll(quick);
    expect(coordinator.tasksOf(slow)).toEqual([]);
    const samplesPerMs = coordinator.state.connections.get(slow)!.samplesPerMs;
    expect(samplesPerMs).toBeLessThan(before);
    expect(samplesPerMs).toBeCloseTo(owed / 1_000);
    const accepted = coordinator.accepted.length;
    coordinator.gradient(slow, lateTask!);
    expect(coordinator.accepted).toHaveLength(accepted);
    expect(coordinator.state.connections.get(slow)!.answerByMs).toBeUndefined();
  });

  it('is not told to cancel what it is late with: its answer is how it comes back', () => {
    const coordinator = createCoordinator();
    const [slow, quick] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    coordinator.answerAll(quick);
    coordinator.wait(300);
    const from = coordinator.log.length;
    coordinator.answerAll(quick);
    expect(sentTo(slow, coordinator.log.slice(from))).not.toContain('cancel');
  });

  it('spares the second owner a shard that the late one has returned after all', () => {
    const coordinator = createCoordinator();
    const [slow, quick] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [lateTask] = coordinator.tasksOf(slow);
    coordinator.answerAll(quick);
    coordinator.wait(300);
    const effects = coordinator.gradient(slow, lateTask!);
    expect(sentTo(quick, effects)).toContain('cancel');
  });

  it('is dropped after the hard deadline, even when others have long done its shard', () => {
    const coordinator = createCoordinator({ epochs: 100 });
    const [slow, quick] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    for (let waited = 0; waited <= 5_000; waited += 100) {
      coordinator.answerAll(quick);
      coordinator.wait(100);
      coordinator.handleMessage(slow, { type: 'pong', sentAtMs: coordinator.nowMs });
      coordinator.handleMessage(quick, { type: 'pong', sentAtMs: coordinator.nowMs });
    }
    expect([...coordinator.state.connections.keys()]).toEqual([quick]);
  });

  it('alone with its shard until the hard deadline, then the run pauses instead of waiting for ever', () => {
    const coordinator = createCoordinator();
    const only = coordinator.join();
    for (let waited = 0; waited < 5_000; waited += 1_000) {
      coordinator.wait(1_000);
      coordinator.handleMessage(only, { type: 'pong', sentAtMs: coordinator.nowMs });
    }
    expect(coordinator.state.phase).toBe('training');
    const effects = coordinator.wait(1);
    expect(sentTo(only, effects)).toContain('close');
    expect(coordinator.state.phase).toBe('paused');
  });

  it('is taken for dead after a long silence, and not before', () => {
    const coordinator = createCoordinator({ limits: { hardDeadlineMs: 60_000 } });
    const only = coordinator.join();
    coordinator.wait(15_000);
    expect(coordinator.state.connections.has(only)).toBe(true);
    expect(eventsOf(coordinator.wait(1))).toContainEqual({ type: 'left', workerId: 'w1', message: 'silent for 15 s' });
  });

  it('goes to a third worker where the second is late as well', () => {
    const coordinator = createCoordinator({ batch: 6, samples: 60, epochs: 4 });
    const [first, second, third] = [coordinator.join(), coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const pauseRequested = coordinator.tasksOf(first);
    expect(pauseRequested).toHaveLength(1);
    coordinator.answerAll(second);
    coordinator.wait(300);
    expect(coordinator.tasksOf(second)).toEqual(pauseRequested);
    coordinator.answerAll(third);
    coordinator.wait(300);
    expect(coordinator.tasksOf(third)).toEqual(pauseRequested);
  });

  it('counts time from a worker’s last result: many shards one after another are not lateness', () => {
    const coordinator = createCoordinator({ batch: 62, samples: 62, steps: 1, startWorkers: 3 });
    const [left, middle, right] = [slowWorker(coordinator), slowWorker(coordinator), slowWorker(coordinator)];
    const shards = coordinator.tasksOf(middle);
    expect(shards.map(({ n }) => n)).toEqual([4, 4]);
    for (const [index, { n, ...task }] of shards.entries()) {
      coordinator.nowMs += 200 * n;
      for (const connection of [left, middle, right])
        coordinator.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
      // Two samples a microbatch at a hundredth of a sample a millisecond: exactly as fast as it said.
      if (index === 0) coordinator.gradient(middle, { ...task, n }, 200 * n);
      coordinator.answerAll(left, 2_000);
      coordinator.answerAll(right, 2_000);
      expect(eventsOf(coordinator.wait(0)).filter(({ type }) => type === 'late')).toEqual([]);
    }
    // Three times the 800 ms that its last shard should take, and not before.
    expect(eventsOf(coordinator.wait(1_600))).toEqual([]);
    expect(eventsOf(coordinator.wait(1))).toEqual([{ type: 'late', workerId: 'w2', step: 0 }]);
  });

  it('is not waited for as long as it says, where it says that it is a thousand times slower than who is idle', () => {
    const coordinator = createCoordinator({ batch: 4, samples: 4, startWorkers: 2 });
    const [slow, quick] = [coordinator.join({ samplesPerMs: 0.001 }), coordinator.join({ samplesPerMs: 1 })];
    const task = coordinator.tasksOf(quick);
    expect(task).toHaveLength(1);
    coordinator.send({ type: 'closed', connection: quick });
    expect(coordinator.tasksOf(slow)).toHaveLength(1);
    coordinator.join({ samplesPerMs: 1 });
    // Two samples take the slow one 4 s by its own word, and 12 s might go by before anybody helps.
    expect(eventsOf(coordinator.wait(251))).toEqual([{ type: 'late', workerId: 'w1', step: 0 }]);
  });
});

const slowWorker = (coordinator: ScriptedCoordinator): number => coordinator.join({ samplesPerMs: 0.01 });

describe('last worker gone', () => {
  it('pauses the run, says so, and goes on when one joins', () => {
    const coordinator = createCoordinator();
    const first = coordinator.join();
    expect(eventsOf(coordinator.send({ type: 'closed', connection: first }))).toContainEqual({ type: 'paused' });
    expect(coordinator.state.phase).toBe('paused');
    coordinator.wait(3_600_000);
    expect(coordinator.state.phase).toBe('paused');
    const second = coordinator.join();
    expect(eventsOf(coordinator.log)).toContainEqual({ type: 'resumed' });
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });
});

describe('late or duplicate result', () => {
  it('is ignored: no shard is accepted twice, and no counter moves', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [task] = coordinator.tasksOf(first);
    coordinator.gradient(first, task!);
    const { records, faults } = coordinator.state;
    expect(coordinator.gradient(first, task!)).toEqual([]);
    expect(coordinator.gradient(second, task!)).toEqual([]);
    expect([coordinator.state.records, coordinator.state.faults]).toEqual([records, faults]);
    coordinator.answerAll(second);
    expect(coordinator.gradient(first, task!)).toEqual([]);
  });

  it('of a shard that has been cut anew is ignored', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const first = coordinator.join();
    const others = [coordinator.join(), coordinator.join()];
    const [whole] = coordinator.tasksOf(first);
    nonFinite(coordinator, first, whole!);
    expect(others.flatMap(coordinator.tasksOf).map(({ n }) => n)).toEqual([4, 2, 2]);
    expect(coordinator.gradient(first, whole!)).toEqual([]);
    expect(coordinator.state.records.get('w1')?.shards).toBe(0);
  });

  it('that was lost by one and computed by another counts for who returned it', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const [first, second] = [coordinator.join(), coordinator.join()];
    const [task] = coordinator.tasksOf(first);
    coordinator.wait(6_000);
    expect(coordinator.state.connections.has(first)).toBe(false);
    for (const half of coordinator.tasksOf(second)) coordinator.gradient(second, half);
    expect(coordinator.state.phase).toBe('finished');
    expect([...coordinator.state.records.values()].map(({ shards }) => shards)).toEqual([0, 1]);
    expect(task).toBeDefined();
  });
});

describe('NaN, wrong length, wrong checksum', () => {
  it('is rejected and computed elsewhere; a wrong frame closes its socket', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    const message = 'gradient: expected checksum 1, got 2';
    const effects = coordinator.send({ type: 'invalid', connection: first, closeCode: 1002, message });
    expect(effects).toContainEqual({ type: 'close', connection: first, code: 1002, reason: message });
    expect(coordinator.state.faults.rejected).toBe(1);
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
  });

  it('not finite: goes to somebody else, and the run goes on', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [task] = coordinator.tasksOf(first);
    nonFinite(coordinator, first, task!);
    expect(coordinator.state.phase).toBe('training');
    expect(coordinator.tasksOf(second)).toContainEqual(task);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });

  it('the same shard not finite twice: the run stops and names the samples', () => {
    const coordinator = createCoordinator({ samples: 64, batch: 16, microbatchSize: 2 });
    const [first, second] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [task] = coordinator.tasksOf(first);
    nonFinite(coordinator, first, task!);
    const effects = nonFinite(coordinator, second, task!);
    const from = 16 * (task!.step % 4) + task!.lo * 2;
    const samples = `samples ${from} to ${from + task!.n * 2 - 1} of epoch 1`;
    expect(effects.at(-1)).toMatchObject({ type: 'failed', message: expect.stringContaining(samples) });
    expect(coordinator.state.phase).toBe('failed');
  });

  it('one worker’s word alone does not stop the run, however often it is said', () => {
    const coordinator = createCoordinator({ limits: { maxTaskErrors: 100 } });
    const [liar] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [task] = coordinator.tasksOf(liar);
    for (let times = 0; times < 50; times++) nonFinite(coordinator, liar, task!);
    expect(coordinator.state.phase).toBe('training');
  });

  it('a worker that fails three times in a row is sent away with a sentence; a result in between forgives', () => {
    const coordinator = createCoordinator({ epochs: 20 });
    const [faulty] = [coordinator.join(), coordinator.join()];
    for (let times = 0; times < 5; times++) {
      shareAnew(coordinator);
      nonFinite(coordinator, faulty, coordinator.tasksOf(faulty)[0]!);
      shareAnew(coordinator);
    }
    expect(coordinator.state.connections.has(faulty)).toBe(true);
    const elsewhere = { step: 0, lo: 0, n: 8 };
    nonFinite(coordinator, faulty, elsewhere);
    nonFinite(coordinator, faulty, elsewhere);
    const effects = nonFinite(coordinator, faulty, elsewhere, 'x'.repeat(1_000));
    expect(sentTo(faulty, effects)).toEqual(['refuse', 'close']);
    const refusal = effects.find((effect) => effect.type === 'send' && effect.message.type === 'refuse');
    // A sentence of a worker, quoted, still fits into a message.
    expect(refusal).toMatchObject({ message: { code: 'busy', message: expect.stringMatching(/^.{1,1000}$/) } });
  });

  it('a lost device: everything is taken from the worker, and it is checked before it gets shards again', () => {
    const coordinator = createCoordinator();
    const [broken, other] = [coordinator.join(), coordinator.join()];
    shareAnew(coordinator);
    const [task] = coordinator.tasksOf(broken);
    const error = { type: 'taskError', ...task!, code: 'device-lost', message: 'the device is gone' } as const;
    expect(sentTo(broken, coordinator.handleMessage(broken, error))).toEqual(['sendNumericsCheck']);
    expect(coordinator.tasksOf(broken)).toEqual([]);
    expect(coordinator.tasksOf(other)).toContainEqual(task);
    // What it had sent before is late, and no breach.
    expect(coordinator.gradient(broken, task!)).toEqual([]);
    coordinator.handleMessage(broken, { type: 'numericsResult', hash: 'bbbbbbbb', samplesPerMs: 1 });
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.state.contributed).toEqual(new Set(['aaaaaaaa', 'bbbbbbbb']));
  });
});

import { describe, expect, it } from 'vitest';
import { createRoom, eventsOf, nonFinite, playOut, type Room, sentTo, shareAnew } from './room.ts';

describe('socket closes, process killed, tab closed mid-task', () => {
  it('gives its shards back at once, in the very event', () => {
    const room = createRoom();
    const [first, second] = [room.join(), room.join()];
    shareAnew(room);
    const lost = room.tasksOf(first);
    expect(lost.length).toBeGreaterThan(0);
    const effects = room.send({ type: 'closed', connection: first });
    const given = effects.filter((effect) => effect.type === 'sendTask' && effect.connection === second);
    expect(given.length).toBeGreaterThanOrEqual(lost.length);
    expect(eventsOf(effects)).toContainEqual({ type: 'left', workerId: 'w1', message: 'its connection closed' });
    expect(room.state.faults.disconnects).toBe(1);
    expect(room.state.faults.reassigned).toBeGreaterThanOrEqual(lost.length);
    playOut(room);
    expect(room.state.phase).toBe('finished');
  });

  it('completes the step without waiting, where all that is left to do was the idle workers’', () => {
    const room = createRoom({ steps: 1 });
    const first = room.join();
    const [second, third] = [room.join(), room.join()];
    const whole = room.tasksOf(first);
    expect(whole).toEqual([{ step: 0, lo: 0, n: 8 }]);
    room.send({ type: 'closed', connection: first });
    // One shard and two idle workers: it is halved, so that neither waits for the other.
    expect(room.tasksOf(second)).toEqual([{ step: 0, lo: 0, n: 4 }]);
    expect(room.tasksOf(third)).toEqual([{ step: 0, lo: 4, n: 4 }]);
  });

  it('says goodbye: the same, and its socket is closed', () => {
    const room = createRoom();
    const [first, second] = [room.join(), room.join()];
    const effects = room.handleMessage(first, { type: 'bye', message: 'worker 1 leaves' });
    expect(sentTo(first, effects)).toEqual(['close']);
    expect(room.tasksOf(second).length).toBeGreaterThan(0);
  });
});

describe('frozen, half-open, hidden tab, straggler', () => {
  it('has its shards duplicated on idle workers after the soft deadline, and the first result wins', () => {
    const room = createRoom();
    const [slow, quick] = [room.join(), room.join()];
    shareAnew(room);
    const pauseRequested = room.tasksOf(slow);
    room.answerAll(quick);
    room.wait(250);
    expect(room.state.faults.duplicated).toBe(0);
    const effects = room.wait(1);
    expect(eventsOf(effects)).toEqual([{ type: 'late', workerId: 'w1', step: room.state.current.step }]);
    expect(room.tasksOf(quick)).toEqual(pauseRequested);
    expect(room.state.faults.duplicated).toBe(pauseRequested.length);
    const step = room.state.current.step;
    for (const task of pauseRequested) room.gradient(quick, task);
    expect(room.state.current.step).toBe(step + 1);
    // Nothing of the new step went to the late worker.
    expect(room.tasksOf(slow)).toEqual([]);
  });

  it('is back with its first answer, with a smaller share', () => {
    const room = createRoom({ epochs: 8 });
    const [slow, quick] = [room.join(), room.join()];
    shareAnew(room);
    const before = room.state.connections.get(slow)!.samplesPerMs;
    const [pauseRequested] = room.tasksOf(slow);
    const owed = room.tasksOf(slow).reduce((sum, { n }) => sum + 2 * n, 0);
    room.answerAll(quick);
    room.wait(1_000);
    room.answerAll(quick);
    expect(room.tasksOf(slow)).toEqual([]);
    const samplesPerMs = room.state.connections.get(slow)!.samplesPerMs;
    expect(samplesPerMs).toBeLessThan(before);
    expect(samplesPerMs).toBeCloseTo(owed / 1_000);
    const effects = room.gradient(slow, pauseRequested!);
    expect(effects.filter(({ type }) => type === 'acceptGradient')).toEqual([]);
    expect(room.state.connections.get(slow)!.answerByMs).toBeUndefined();
  });

  it('is not told to cancel what it is late with: its answer is how it comes back', () => {
    const room = createRoom();
    const [slow, quick] = [room.join(), room.join()];
    shareAnew(room);
    room.answerAll(quick);
    room.wait(300);
    const from = room.log.length;
    room.answerAll(quick);
    expect(sentTo(slow, room.log.slice(from))).not.toContain('cancel');
  });

  it('spares the second owner a shard that the late one has returned after all', () => {
    const room = createRoom();
    const [slow, quick] = [room.join(), room.join()];
    shareAnew(room);
    const [pauseRequested] = room.tasksOf(slow);
    room.answerAll(quick);
    room.wait(300);
    const effects = room.gradient(slow, pauseRequested!);
    expect(sentTo(quick, effects)).toContain('cancel');
  });

  it('is dropped after the hard deadline, even when others have long done its shard', () => {
    const room = createRoom({ epochs: 100 });
    const [slow, quick] = [room.join(), room.join()];
    shareAnew(room);
    for (let waited = 0; waited <= 5_000; waited += 100) {
      room.answerAll(quick);
      room.wait(100);
      room.handleMessage(slow, { type: 'pong', sentAtMs: room.nowMs });
      room.handleMessage(quick, { type: 'pong', sentAtMs: room.nowMs });
    }
    expect([...room.state.connections.keys()]).toEqual([quick]);
  });

  it('alone with its shard until the hard deadline, then the run pauses instead of waiting for ever', () => {
    const room = createRoom();
    const only = room.join();
    for (let waited = 0; waited < 5_000; waited += 1_000) {
      room.wait(1_000);
      room.handleMessage(only, { type: 'pong', sentAtMs: room.nowMs });
    }
    expect(room.state.phase).toBe('training');
    const effects = room.wait(1);
    expect(sentTo(only, effects)).toContain('close');
    expect(room.state.phase).toBe('paused');
  });

  it('is taken for dead after a long silence, and not before', () => {
    const room = createRoom({ limits: { hardDeadlineMs: 60_000 } });
    const only = room.join();
    room.wait(15_000);
    expect(room.state.connections.has(only)).toBe(true);
    expect(eventsOf(room.wait(1))).toContainEqual({ type: 'left', workerId: 'w1', message: 'silent for 15 s' });
  });

  it('goes to a third worker where the second is late as well', () => {
    const room = createRoom({ batch: 6, samples: 60, epochs: 4 });
    const [first, second, third] = [room.join(), room.join(), room.join()];
    shareAnew(room);
    const pauseRequested = room.tasksOf(first);
    expect(pauseRequested).toHaveLength(1);
    room.answerAll(second);
    room.wait(300);
    expect(room.tasksOf(second)).toEqual(pauseRequested);
    room.answerAll(third);
    room.wait(300);
    expect(room.tasksOf(third)).toEqual(pauseRequested);
  });

  it('counts time from a worker’s last result: many shards one after another are not lateness', () => {
    const room = createRoom({ batch: 62, samples: 62, steps: 1, startWorkers: 3 });
    const [left, middle, right] = [slowWorker(room), slowWorker(room), slowWorker(room)];
    const shards = room.tasksOf(middle);
    expect(shards.map(({ n }) => n)).toEqual([4, 4]);
    for (const [index, { n, ...task }] of shards.entries()) {
      room.nowMs += 200 * n;
      for (const connection of [left, middle, right]) room.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
      // Two samples a microbatch at a hundredth of a sample a millisecond: exactly as fast as it said.
      if (index === 0) room.gradient(middle, { ...task, n }, 200 * n);
      room.answerAll(left, 2_000);
      room.answerAll(right, 2_000);
      expect(eventsOf(room.wait(0)).filter(({ type }) => type === 'late')).toEqual([]);
    }
    // Three times the 800 ms that its last shard should take, and not before.
    expect(eventsOf(room.wait(1_600))).toEqual([]);
    expect(eventsOf(room.wait(1))).toEqual([{ type: 'late', workerId: 'w2', step: 0 }]);
  });

  it('is not waited for as long as it says, where it says that it is a thousand times slower than who is idle', () => {
    const room = createRoom({ batch: 4, samples: 4, startWorkers: 2 });
    const [slow, quick] = [room.join({ samplesPerMs: 0.001 }), room.join({ samplesPerMs: 1 })];
    const task = room.tasksOf(quick);
    expect(task).toHaveLength(1);
    room.send({ type: 'closed', connection: quick });
    expect(room.tasksOf(slow)).toHaveLength(1);
    room.join({ samplesPerMs: 1 });
    // Two samples take the slow one 4 s by its own word, and 12 s might go by before anybody helps.
    expect(eventsOf(room.wait(251))).toEqual([{ type: 'late', workerId: 'w1', step: 0 }]);
  });
});

const slowWorker = (room: Room): number => room.join({ samplesPerMs: 0.01 });

describe('last worker gone', () => {
  it('pauses the run, says so, and goes on when one joins', () => {
    const room = createRoom();
    const first = room.join();
    expect(eventsOf(room.send({ type: 'closed', connection: first }))).toContainEqual({ type: 'paused' });
    expect(room.state.phase).toBe('paused');
    room.wait(3_600_000);
    expect(room.state.phase).toBe('paused');
    const second = room.join();
    expect(eventsOf(room.log)).toContainEqual({ type: 'resumed' });
    expect(room.tasksOf(second).length).toBeGreaterThan(0);
    playOut(room);
    expect(room.state.phase).toBe('finished');
  });
});

describe('late or duplicate result', () => {
  it('is ignored: no shard is accepted twice, and no counter moves', () => {
    const room = createRoom();
    const [first, second] = [room.join(), room.join()];
    shareAnew(room);
    const [task] = room.tasksOf(first);
    room.gradient(first, task!);
    const { records, faults } = room.state;
    expect(room.gradient(first, task!)).toEqual([]);
    expect(room.gradient(second, task!)).toEqual([]);
    expect([room.state.records, room.state.faults]).toEqual([records, faults]);
    room.answerAll(second);
    expect(room.gradient(first, task!)).toEqual([]);
  });

  it('of a shard that has been cut anew is ignored', () => {
    const room = createRoom({ steps: 1 });
    const first = room.join();
    const others = [room.join(), room.join()];
    const [whole] = room.tasksOf(first);
    nonFinite(room, first, whole!);
    expect(others.flatMap(room.tasksOf).map(({ n }) => n)).toEqual([4, 2, 2]);
    expect(room.gradient(first, whole!)).toEqual([]);
    expect(room.state.records.get('w1')?.shards).toBe(0);
  });

  it('that was lost by one and computed by another counts for who returned it', () => {
    const room = createRoom({ steps: 1 });
    const [first, second] = [room.join(), room.join()];
    const [task] = room.tasksOf(first);
    room.wait(6_000);
    expect(room.state.connections.has(first)).toBe(false);
    for (const half of room.tasksOf(second)) room.gradient(second, half);
    expect(room.state.phase).toBe('finished');
    expect([...room.state.records.values()].map(({ shards }) => shards)).toEqual([0, 1]);
    expect(task).toBeDefined();
  });
});

describe('NaN, wrong length, wrong checksum', () => {
  it('is rejected and computed elsewhere; a wrong frame closes its socket', () => {
    const room = createRoom();
    const [first, second] = [room.join(), room.join()];
    const message = 'gradient: expected checksum 1, got 2';
    const effects = room.send({ type: 'invalid', connection: first, closeCode: 1002, message });
    expect(effects).toContainEqual({ type: 'close', connection: first, code: 1002, reason: message });
    expect(room.state.faults.rejected).toBe(1);
    expect(room.tasksOf(second).length).toBeGreaterThan(0);
  });

  it('not finite: goes to somebody else, and the run goes on', () => {
    const room = createRoom();
    const [first, second] = [room.join(), room.join()];
    shareAnew(room);
    const [task] = room.tasksOf(first);
    nonFinite(room, first, task!);
    expect(room.state.phase).toBe('training');
    expect(room.tasksOf(second)).toContainEqual(task);
    playOut(room);
    expect(room.state.phase).toBe('finished');
  });

  it('the same shard not finite twice: the run stops and names the samples', () => {
    const room = createRoom({ samples: 64, batch: 16, microbatchSize: 2 });
    const [first, second] = [room.join(), room.join()];
    shareAnew(room);
    const [task] = room.tasksOf(first);
    nonFinite(room, first, task!);
    const effects = nonFinite(room, second, task!);
    const from = 16 * (task!.step % 4) + task!.lo * 2;
    const samples = `samples ${from} to ${from + task!.n * 2 - 1} of epoch 1`;
    expect(effects.at(-1)).toMatchObject({ type: 'failed', message: expect.stringContaining(samples) });
    expect(room.state.phase).toBe('failed');
  });

  it('one worker’s word alone does not stop the run, however often it is said', () => {
    const room = createRoom({ limits: { maxTaskErrors: 100 } });
    const [liar] = [room.join(), room.join()];
    shareAnew(room);
    const [task] = room.tasksOf(liar);
    for (let times = 0; times < 50; times++) nonFinite(room, liar, task!);
    expect(room.state.phase).toBe('training');
  });

  it('a worker that fails three times in a row is sent away with a sentence; a result in between forgives', () => {
    const room = createRoom({ epochs: 20 });
    const [faulty] = [room.join(), room.join()];
    for (let times = 0; times < 5; times++) {
      shareAnew(room);
      nonFinite(room, faulty, room.tasksOf(faulty)[0]!);
      shareAnew(room);
    }
    expect(room.state.connections.has(faulty)).toBe(true);
    const elsewhere = { step: 0, lo: 0, n: 8 };
    nonFinite(room, faulty, elsewhere);
    nonFinite(room, faulty, elsewhere);
    const effects = nonFinite(room, faulty, elsewhere, 'x'.repeat(1_000));
    expect(sentTo(faulty, effects)).toEqual(['refuse', 'close']);
    const refusal = effects.find((effect) => effect.type === 'send' && effect.message.type === 'refuse');
    // A sentence of a worker, quoted, still fits into a message.
    expect(refusal).toMatchObject({ message: { code: 'busy', message: expect.stringMatching(/^.{1,1000}$/) } });
  });

  it('a lost device: everything is taken from the worker, and it is checked before it gets shards again', () => {
    const room = createRoom();
    const [broken, other] = [room.join(), room.join()];
    shareAnew(room);
    const [task] = room.tasksOf(broken);
    const error = { type: 'taskError', ...task!, code: 'device-lost', message: 'the device is gone' } as const;
    expect(sentTo(broken, room.handleMessage(broken, error))).toEqual(['sendNumericsCheck']);
    expect(room.tasksOf(broken)).toEqual([]);
    expect(room.tasksOf(other)).toContainEqual(task);
    // What it had sent before is late, and no breach.
    expect(room.gradient(broken, task!)).toEqual([]);
    room.handleMessage(broken, { type: 'numericsResult', hash: 'bbbbbbbb', samplesPerMs: 1 });
    playOut(room);
    expect(room.state.phase).toBe('finished');
    expect(room.state.contributed).toEqual(new Set(['aaaaaaaa', 'bbbbbbbb']));
  });
});

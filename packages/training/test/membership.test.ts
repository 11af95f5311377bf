import { describe, expect, it } from 'vitest';
import { createRoom, eventsOf, nonFinite, numericsResult, playOut, type Room, sentTo, shareAnew } from './room.ts';

describe('join mid-run', () => {
  it('brings a numerics check first and tasks after; nobody counts before', () => {
    const room = createRoom({ startWorkers: 2, epochs: 4 });
    const first = room.join();
    expect(room.state.phase).toBe('waiting');
    const late = room.open();
    expect(sentTo(late, room.hello(late))).toEqual(['welcome', 'sendNumericsCheck']);
    expect(room.state.phase).toBe('waiting');
    room.handleMessage(late, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
    expect(room.state.phase).toBe('training');
    const newest = room.open();
    room.hello(newest);
    shareAnew(room);
    expect(sentTo(newest, room.log)).toEqual(['welcome', 'sendNumericsCheck']);
    room.handleMessage(newest, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
    shareAnew(room);
    expect(room.tasksOf(newest).length).toBeGreaterThan(0);
    expect(first).toBe(1);
  });

  it('a run that has waited for its workers begins with those that are there', () => {
    const room = createRoom({ startWorkers: 3 });
    room.join();
    room.wait(4_999);
    expect(room.state.phase).toBe('waiting');
    room.wait(1);
    expect(room.state.phase).toBe('training');
  });

  it('a worker beyond the microbatches has nothing to do, and nobody waits for it', () => {
    const room = createRoom({ batch: 4, microbatchSize: 2, samples: 16 });
    const connections = Array.from({ length: 5 }, () => room.join());
    shareAnew(room);
    expect(connections.filter((connection) => room.tasksOf(connection).length > 0)).toHaveLength(2);
    playOut(room);
    expect(room.state.phase).toBe('finished');
  });
});

describe('coordinator killed', () => {
  it('goes on at the step of its checkpoint', () => {
    const room = createRoom({ firstStep: 5, epochs: 2 });
    const only = room.join();
    expect(room.log).toContainEqual({ type: 'sendWeights', connection: only, step: 5 });
    playOut(room);
    expect(room.log.filter(({ type }) => type === 'applyStep')).toEqual(
      [5, 6, 7].map((step) => ({ type: 'applyStep', step })),
    );
  });

  it('has nothing to do where the checkpoint is that of the last step', () => {
    expect(createRoom({ firstStep: 8 }).state.phase).toBe('finished');
  });
});

describe('bad token, version', () => {
  it.each([
    ['no token', {}, 'token'],
    ['a wrong token', { token: 'guess' }, 'token'],
    ['a token that only begins right', { token: 'secre' }, 'token'],
    ['a token that goes on', { token: 'secretsecret' }, 'token'],
    ['another version', { token: 'secret', protocol: 99 }, 'protocol'],
  ])('%s is refused with a sentence', (_, changes, code) => {
    const room = createRoom({ token: 'secret' });
    const connection = room.open();
    const effects = room.hello(connection, changes);
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code } });
    expect(sentTo(connection, effects)).toEqual(['refuse', 'close']);
    expect(room.state.connections.size + room.state.records.size).toBe(0);
    expect(JSON.stringify(effects)).not.toContain('secret');
  });

  it('the right token is welcome', () => {
    const room = createRoom({ token: 'secret' });
    const connection = room.open();
    expect(sentTo(connection, room.hello(connection, { token: 'secret' }))).toEqual(['welcome', 'sendNumericsCheck']);
  });

  it('a worker that computes wrongly is refused, and never gets a shard', () => {
    const room = createRoom();
    const connection = room.open();
    room.hello(connection);
    const effects = room.send({ type: 'numericsMismatch', connection, message: 'numerics check: it computes wrongly' });
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code: 'numerics' } });
    expect(sentTo(connection, room.log)).not.toContain('sendTask');
  });

  it('a full room says when to try again; the place of a half-open connection is its worker’s own', () => {
    const room = createRoom({ limits: { maxWorkers: 2 } });
    room.join();
    room.join();
    const third = room.open();
    const refusal = { type: 'refuse', code: 'full', retryAfterMs: 30_000 };
    expect(room.hello(third)[0]).toMatchObject({ type: 'send', message: refusal });
    const back = room.open();
    expect(sentTo(back, room.hello(back, { resumeKey: 'key-1' }))).toEqual(['welcome', 'sendNumericsCheck']);
  });
});

describe('garbage, oversized, flood', () => {
  it.each([1002, 1003, 1009] as const)(
    'a frame that fails closes its socket with %i and a reason, and no other',
    (closeCode) => {
      const room = createRoom();
      const [first, second] = [room.join(), room.join()];
      const effects = room.send({ type: 'invalid', connection: first, closeCode, message: 'frame: broken' });
      expect(effects).toContainEqual({ type: 'close', connection: first, code: closeCode, reason: 'frame: broken' });
      expect([...room.state.connections.keys()]).toEqual([second]);
    },
  );

  it.each([
    ['a second hello', 'ready', (room: Room, who: number) => room.hello(who)],
    ['a hello while checked', 'checking', (room: Room, who: number) => room.hello(who)],
    ['a numerics check result before hello', 'handshake', (room: Room, who: number) => numericsResult(room, who)],
    ['a numerics check result that nobody asked for', 'ready', (room: Room, who: number) => numericsResult(room, who)],
    ['a gradient before hello', 'handshake', (room: Room, who: number) => gradientOf(room, who, 0)],
    ['a gradient before the numerics check', 'checking', (room: Room, who: number) => gradientOf(room, who, 0)],
    ['a gradient of a step ahead', 'ready', (room: Room, who: number) => gradientOf(room, who, 1)],
    [
      'a task error before hello',
      'handshake',
      (room: Room, who: number) => nonFinite(room, who, { step: 0, lo: 0, n: 8 }),
    ],
  ] as const)('%s closes its socket with 1002', (_, phase, act) => {
    const room = createRoom();
    const good = room.join();
    const bad = phase === 'ready' ? room.join() : room.open();
    if (phase === 'checking') room.hello(bad);
    expect(act(room, bad)).toContainEqual(expect.objectContaining({ type: 'close', connection: bad, code: 1002 }));
    expect(room.state.faults.rejected).toBe(1);
    expect([...room.state.connections.keys()]).toEqual([good]);
  });

  it('a gradient of weights that a worker was never sent closes its socket, even where the shard is wanted', () => {
    const room = createRoom();
    room.join();
    const eager = room.join();
    expect(sentTo(eager, room.log)).not.toContain('sendWeights');
    expect(sentTo(eager, gradientOf(room, eager, 0))).toContain('close');
  });

  it('a socket that never says hello, and one that never answers its numerics check, are closed in time', () => {
    const room = createRoom();
    const [silent, checked] = [room.open(), room.open()];
    room.hello(checked);
    room.wait(5_000);
    expect(room.state.connections.size).toBe(2);
    expect(sentTo(silent, room.wait(1))).toContain('close');
    for (let waited = 5_001; waited <= 30_000; waited += 4_999) {
      room.wait(4_999);
      room.handleMessage(checked, { type: 'pong', sentAtMs: 0 });
    }
    expect(room.state.connections.size).toBe(0);
  });

  it('workers that only come and go leave nothing behind, and their names are not given twice', () => {
    const room = createRoom({ epochs: 20 });
    const stays = room.join();
    for (let times = 0; times < 200; times++) {
      const connection = times % 2 === 0 ? room.join() : room.open();
      if (times % 2 === 1) room.hello(connection);
      room.send({ type: 'closed', connection });
    }
    room.wait(0);
    expect(room.state.records.size).toBe(101);
    for (let waited = 0; waited <= 32_000; waited += 4_000) {
      room.answerAll(stays);
      room.wait(4_000);
      room.handleMessage(stays, { type: 'pong', sentAtMs: 0 });
    }
    expect([...room.state.records.keys()]).toEqual(['w1']);
    const next = room.join();
    expect(room.workerId(next)).toBe('w202');
  });

  it('times that no clock can show make neither shares nor deadlines that end a run', () => {
    for (const samplesPerMs of [Number.POSITIVE_INFINITY, Number.NaN, 5e-324, 1e308, 0]) {
      const room = createRoom({ epochs: 4 });
      room.join();
      room.join({ samplesPerMs });
      playOut(room);
      expect(room.state.phase).toBe('finished');
    }
  });

  it('a computing time longer than the worker had its shard is not believed', () => {
    const room = createRoom({ steps: 1 });
    const only = room.join();
    room.nowMs += 40;
    room.answerAll(only, 1e308);
    expect([...room.state.records.values()][0]).toMatchObject({ shards: 1, samples: 16, computeMs: 40 });
  });

  it('a ping is answered', () => {
    const room = createRoom();
    const connection = room.open();
    const pong = { type: 'pong', sentAtMs: 17 };
    const effects = room.handleMessage(connection, { type: 'ping', sentAtMs: 17 });
    expect(effects).toEqual([{ type: 'send', connection, message: pong }]);
  });
});

function gradientOf(room: Room, connection: number, step: number) {
  return room.handleMessage(connection, { type: 'gradient', step, lo: 0, n: 8, computeMs: 1 });
}

describe('coming back', () => {
  it('under the old identity within the resume window: its work goes on being counted', () => {
    const room = createRoom({ epochs: 10 });
    const first = room.join();
    room.nowMs += 10;
    room.answerAll(first);
    room.send({ type: 'closed', connection: first });
    room.nowMs += 30_000;
    const back = room.join({ resumeKey: 'key-1', name: 'renamed' });
    expect(room.workerId(back)).toBe('w1');
    expect(eventsOf(room.log)).toContainEqual({ type: 'joined', workerId: 'w1', returned: true });
    room.answerAll(back);
    expect(room.state.records.get('w1')).toMatchObject({ name: 'renamed', shards: 2, leftAtMs: undefined });
  });

  it('after the window it is somebody new, and its old work stays in the records', () => {
    const room = createRoom({ epochs: 10 });
    const first = room.join();
    room.answerAll(first);
    room.send({ type: 'closed', connection: first });
    room.wait(30_001);
    const back = room.join({ resumeKey: 'key-1' });
    expect(room.workerId(back)).toBe('w2');
    expect([...room.state.records.keys()]).toEqual(['w1', 'w2']);
  });

  it('closes the half-open connection that it left behind, and gets its shards', () => {
    const room = createRoom();
    const halfOpen = room.join();
    const back = room.open();
    const effects = room.hello(back, { resumeKey: 'key-1' });
    expect(sentTo(halfOpen, effects)).toEqual(['close']);
    expect(room.state.phase).toBe('paused');
    numericsResult(room, back);
    expect(room.tasksOf(back).length).toBeGreaterThan(0);
    room.send({ type: 'closed', connection: halfOpen });
    playOut(room);
    expect(room.state.phase).toBe('finished');
    expect(room.state.records.size).toBe(1);
  });

  it('a key that nobody has makes a newcomer, and a name alone gives no identity', () => {
    const room = createRoom();
    room.join({ name: 'twin' });
    const guess = room.join({ resumeKey: 'key-99', name: 'twin' });
    expect(room.workerId(guess)).toBe('w2');
    expect(room.state.connections.size).toBe(2);
  });

  it('while it is checked, a worker that is back is not forgotten, however long the window is over', () => {
    const room = createRoom();
    room.join();
    const first = room.join();
    room.send({ type: 'closed', connection: first });
    room.nowMs += 29_000;
    room.handleMessage(1, { type: 'pong', sentAtMs: 0 });
    const back = room.open();
    room.hello(back, { resumeKey: `key-${first}` });
    room.wait(2_000);
    numericsResult(room, back);
    expect(room.workerId(back)).toBe('w2');
    expect(room.state.records.has('w2')).toBe(true);
  });
});

describe('the end of a run', () => {
  it('sends everybody home, those who have not joined yet included', () => {
    const room = createRoom({ steps: 1 });
    const worker = room.join();
    const stranger = room.open();
    const from = room.log.length;
    room.answerAll(worker);
    expect(room.state.phase).toBe('finished');
    for (const connection of [worker, stranger]) {
      expect(sentTo(connection, room.log.slice(from))).toEqual(['finish', 'close']);
    }
    expect(room.state.faults.disconnects).toBe(0);
  });

  it('turns away who comes later with a sentence, and keeps nothing of them', () => {
    const room = createRoom({ steps: 1 });
    room.answerAll(room.join());
    const late = room.open();
    expect(sentTo(late, room.log)).toEqual(['finish', 'close']);
    expect(room.hello(late)).toEqual([]);
    expect(room.state.connections.size).toBe(0);
  });

  it('comes once: a stop after it, or twice, changes nothing', () => {
    const room = createRoom({ steps: 1 });
    room.answerAll(room.join());
    expect(room.send({ type: 'stop', message: 'stopped' })).toEqual([]);
    const other = createRoom();
    other.join();
    expect(other.send({ type: 'stop', message: 'stopped' }).at(-1)).toEqual({ type: 'failed', message: 'stopped' });
    expect(other.send({ type: 'stop', message: 'again' })).toEqual([]);
  });

  it('counts the time that each worker took part, once', () => {
    const room = createRoom({ steps: 1 });
    const only = room.join();
    room.nowMs += 25;
    room.answerAll(only, 20);
    expect(room.state.records.get('w1')).toMatchObject({ readyMs: 25, computeMs: 20 });
  });
});

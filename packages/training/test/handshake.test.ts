import { describe, expect, it } from 'vitest';
import {
  createCoordinator,
  eventsOf,
  nonFinite,
  numericsResult,
  playOut,
  type ScriptedCoordinator,
  sentTo,
  shareAnew,
} from './scripted-coordinator.ts';

describe('join mid-run', () => {
  it('brings a numerics check first and tasks after; nobody counts before', () => {
    const coordinator = createCoordinator({ startWorkers: 2, epochs: 4 });
    const first = coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    const late = coordinator.open();
    expect(sentTo(late, coordinator.hello(late))).toEqual(['welcome', 'sendNumericsCheck']);
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.handleMessage(late, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
    expect(coordinator.state.phase).toBe('training');
    const newest = coordinator.open();
    coordinator.hello(newest);
    shareAnew(coordinator);
    expect(sentTo(newest, coordinator.log)).toEqual(['welcome', 'sendNumericsCheck']);
    coordinator.handleMessage(newest, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
    shareAnew(coordinator);
    expect(coordinator.tasksOf(newest).length).toBeGreaterThan(0);
    expect(first).toBe(1);
  });

  it('a run that has waited for its workers begins with those that are there', () => {
    const coordinator = createCoordinator({ startWorkers: 3 });
    coordinator.join();
    coordinator.wait(4_999);
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.wait(1);
    expect(coordinator.state.phase).toBe('training');
  });

  it('a worker beyond the microbatches has nothing to do, and nobody waits for it', () => {
    const coordinator = createCoordinator({ batch: 4, microbatchSize: 2, samples: 16 });
    const connections = Array.from({ length: 5 }, () => coordinator.join());
    shareAnew(coordinator);
    expect(connections.filter((connection) => coordinator.tasksOf(connection).length > 0)).toHaveLength(2);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });
});

describe('coordinator killed', () => {
  it('goes on at the step of its checkpoint', () => {
    const coordinator = createCoordinator({ firstStep: 5, epochs: 2 });
    const only = coordinator.join();
    expect(coordinator.log).toContainEqual({ type: 'sendWeights', connection: only, step: 5 });
    playOut(coordinator);
    expect(coordinator.log.filter(({ type }) => type === 'applyStep')).toEqual(
      [5, 6, 7].map((step) => ({ type: 'applyStep', step })),
    );
  });

  it('has nothing to do where the checkpoint is that of the last step', () => {
    expect(createCoordinator({ firstStep: 8 }).state.phase).toBe('finished');
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
    const coordinator = createCoordinator({ token: 'secret' });
    const connection = coordinator.open();
    const effects = coordinator.hello(connection, changes);
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code } });
    expect(sentTo(connection, effects)).toEqual(['refuse', 'close']);
    expect(coordinator.state.connections.size + coordinator.state.records.size).toBe(0);
    expect(JSON.stringify(effects)).not.toContain('secret');
  });

  it('the right token is welcome', () => {
    const coordinator = createCoordinator({ token: 'secret' });
    const connection = coordinator.open();
    expect(sentTo(connection, coordinator.hello(connection, { token: 'secret' }))).toEqual([
      'welcome',
      'sendNumericsCheck',
    ]);
  });

  it('a worker that computes wrongly is refused, and never gets a shard', () => {
    const coordinator = createCoordinator();
    const connection = coordinator.open();
    coordinator.hello(connection);
    const effects = coordinator.send({
      type: 'numericsMismatch',
      connection,
      message: 'numerics check: it computes wrongly',
    });
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code: 'numerics' } });
    expect(sentTo(connection, coordinator.log)).not.toContain('sendTask');
  });

  it('a full coordinator says when to try again; the place of a half-open connection is its worker’s own', () => {
    const coordinator = createCoordinator({ limits: { maxWorkers: 2 } });
    coordinator.join();
    coordinator.join();
    const third = coordinator.open();
    const refusal = { type: 'refuse', code: 'full', retryAfterMs: 30_000 };
    expect(coordinator.hello(third)[0]).toMatchObject({ type: 'send', message: refusal });
    const back = coordinator.open();
    expect(sentTo(back, coordinator.hello(back, { resumeKey: 'key-1' }))).toEqual(['welcome', 'sendNumericsCheck']);
  });
});

describe('garbage, oversized, flood', () => {
  it.each([1002, 1003, 1009] as const)(
    'a frame that fails closes its socket with %i and a reason, and no other',
    (closeCode) => {
      const coordinator = createCoordinator();
      const [first, second] = [coordinator.join(), coordinator.join()];
      const effects = coordinator.send({ type: 'invalid', connection: first, closeCode, message: 'frame: broken' });
      expect(effects).toContainEqual({ type: 'close', connection: first, code: closeCode, reason: 'frame: broken' });
      expect([...coordinator.state.connections.keys()]).toEqual([second]);
    },
  );

  it.each([
    ['a second hello', 'ready', (coordinator: ScriptedCoordinator, who: number) => coordinator.hello(who)],
    ['a hello while checked', 'checking', (coordinator: ScriptedCoordinator, who: number) => coordinator.hello(who)],
    [
      'a numerics check result before hello',
      'handshake',
      (coordinator: ScriptedCoordinator, who: number) => numericsResult(coordinator, who),
    ],
    [
      'a numerics check result that nobody asked for',
      'ready',
      (coordinator: ScriptedCoordinator, who: number) => numericsResult(coordinator, who),
    ],
    [
      'a gradient before hello',
      'handshake',
      (coordinator: ScriptedCoordinator, who: number) => gradientOf(coordinator, who, 0),
    ],
    [
      'a gradient before the numerics check',
      'checking',
      (coordinator: ScriptedCoordinator, who: number) => gradientOf(coordinator, who, 0),
    ],
    [
      'a gradient of a step ahead',
      'ready',
      (coordinator: ScriptedCoordinator, who: number) => gradientOf(coordinator, who, 1),
    ],
    [
      'a task error before hello',
      'handshake',
      (coordinator: ScriptedCoordinator, who: number) => nonFinite(coordinator, who, { step: 0, lo: 0, n: 8 }),
    ],
  ] as const)('%s closes its socket with 1002', (_, phase, act) => {
    const coordinator = createCoordinator();
    const good = coordinator.join();
    const bad = phase === 'ready' ? coordinator.join() : coordinator.open();
    if (phase === 'checking') coordinator.hello(bad);
    expect(act(coordinator, bad)).toContainEqual(
      expect.objectContaining({ type: 'close', connection: bad, code: 1002 }),
    );
    expect(coordinator.state.faults.rejected).toBe(1);
    expect([...coordinator.state.connections.keys()]).toEqual([good]);
  });

  it('a gradient of weights that a worker was never sent closes its socket, even where the shard is wanted', () => {
    const coordinator = createCoordinator();
    coordinator.join();
    const eager = coordinator.join();
    expect(sentTo(eager, coordinator.log)).not.toContain('sendWeights');
    expect(sentTo(eager, gradientOf(coordinator, eager, 0))).toContain('close');
  });

  it('a socket that never says hello, and one that never answers its numerics check, are closed in time', () => {
    const coordinator = createCoordinator();
    const [silent, checked] = [coordinator.open(), coordinator.open()];
    coordinator.hello(checked);
    coordinator.wait(5_000);
    expect(coordinator.state.connections.size).toBe(2);
    expect(sentTo(silent, coordinator.wait(1))).toContain('close');
    for (let waited = 5_001; waited <= 30_000; waited += 4_999) {
      coordinator.wait(4_999);
      coordinator.handleMessage(checked, { type: 'pong', sentAtMs: 0 });
    }
    expect(coordinator.state.connections.size).toBe(0);
  });

  it('workers that only come and go leave nothing behind, and their names are not given twice', () => {
    const coordinator = createCoordinator({ epochs: 20 });
    const stays = coordinator.join();
    for (let times = 0; times < 200; times++) {
      const connection = times % 2 === 0 ? coordinator.join() : coordinator.open();
      if (times % 2 === 1) coordinator.hello(connection);
      coordinator.send({ type: 'closed', connection });
    }
    coordinator.wait(0);
    expect(coordinator.state.records.size).toBe(101);
    for (let waited = 0; waited <= 32_000; waited += 4_000) {
      coordinator.answerAll(stays);
      coordinator.wait(4_000);
      coordinator.handleMessage(stays, { type: 'pong', sentAtMs: 0 });
    }
    expect([...coordinator.state.records.keys()]).toEqual(['w1']);
    const next = coordinator.join();
    expect(coordinator.workerId(next)).toBe('w202');
  });

  it('times that no clock can show make neither shares nor deadlines that end a run', () => {
    for (const samplesPerMs of [Number.POSITIVE_INFINITY, Number.NaN, 5e-324, 1e308, 0]) {
      const coordinator = createCoordinator({ epochs: 4 });
      coordinator.join();
      coordinator.join({ samplesPerMs });
      playOut(coordinator);
      expect(coordinator.state.phase).toBe('finished');
    }
  });

  it('a computing time longer than the worker had its shard is not believed', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const only = coordinator.join();
    coordinator.nowMs += 40;
    coordinator.answerAll(only, 1e308);
    expect([...coordinator.state.records.values()][0]).toMatchObject({ shards: 1, samples: 16, computeMs: 40 });
  });

  it('a ping is answered', () => {
    const coordinator = createCoordinator();
    const connection = coordinator.open();
    const pong = { type: 'pong', sentAtMs: 17 };
    const effects = coordinator.handleMessage(connection, { type: 'ping', sentAtMs: 17 });
    expect(effects).toEqual([{ type: 'send', connection, message: pong }]);
  });
});

function gradientOf(coordinator: ScriptedCoordinator, connection: number, step: number) {
  return coordinator.handleMessage(connection, { type: 'gradient', step, lo: 0, n: 8, computeMs: 1 });
}

describe('coming back', () => {
  it('under the old identity within the resume window: its work goes on being counted', () => {
    const coordinator = createCoordinator({ epochs: 10 });
    const first = coordinator.join();
    coordinator.nowMs += 10;
    coordinator.answerAll(first);
    coordinator.send({ type: 'closed', connection: first });
    coordinator.nowMs += 30_000;
    const back = coordinator.join({ resumeKey: 'key-1', name: 'renamed' });
    expect(coordinator.workerId(back)).toBe('w1');
    expect(eventsOf(coordinator.log)).toContainEqual({ type: 'joined', workerId: 'w1', returned: true });
    coordinator.answerAll(back);
    expect(coordinator.state.records.get('w1')).toMatchObject({ name: 'renamed', shards: 2, leftAtMs: undefined });
  });

  it('after the window it is somebody new, and its old work stays in the records', () => {
    const coordinator = createCoordinator({ epochs: 10 });
    const first = coordinator.join();
    coordinator.answerAll(first);
    coordinator.send({ type: 'closed', connection: first });
    coordinator.wait(30_001);
    const back = coordinator.join({ resumeKey: 'key-1' });
    expect(coordinator.workerId(back)).toBe('w2');
    expect([...coordinator.state.records.keys()]).toEqual(['w1', 'w2']);
  });

  it('closes the half-open connection that it left behind, and gets its shards', () => {
    const coordinator = createCoordinator();
    const halfOpen = coordinator.join();
    const back = coordinator.open();
    const effects = coordinator.hello(back, { resumeKey: 'key-1' });
    expect(sentTo(halfOpen, effects)).toEqual(['close']);
    expect(coordinator.state.phase).toBe('paused');
    numericsResult(coordinator, back);
    expect(coordinator.tasksOf(back).length).toBeGreaterThan(0);
    coordinator.send({ type: 'closed', connection: halfOpen });
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.state.records.size).toBe(1);
  });

  it('a key that nobody has makes a newcomer, and a name alone gives no identity', () => {
    const coordinator = createCoordinator();
    coordinator.join({ name: 'twin' });
    const guess = coordinator.join({ resumeKey: 'key-99', name: 'twin' });
    expect(coordinator.workerId(guess)).toBe('w2');
    expect(coordinator.state.connections.size).toBe(2);
  });

  it('while it is checked, a worker that is back is not forgotten, however long the window is over', () => {
    const coordinator = createCoordinator();
    coordinator.join();
    const first = coordinator.join();
    coordinator.send({ type: 'closed', connection: first });
    coordinator.nowMs += 29_000;
    coordinator.handleMessage(1, { type: 'pong', sentAtMs: 0 });
    const back = coordinator.open();
    coordinator.hello(back, { resumeKey: `key-${first}` });
    coordinator.wait(2_000);
    numericsResult(coordinator, back);
    expect(coordinator.workerId(back)).toBe('w2');
    expect(coordinator.state.records.has('w2')).toBe(true);
  });
});

describe('the end of a run', () => {
  it('sends everybody home, those who have not joined yet included', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const worker = coordinator.join();
    const stranger = coordinator.open();
    const from = coordinator.log.length;
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    for (const connection of [worker, stranger]) {
      expect(sentTo(connection, coordinator.log.slice(from))).toEqual(['finish', 'close']);
    }
    expect(coordinator.state.faults.disconnects).toBe(0);
  });

  it('turns away who comes later with a sentence, and keeps nothing of them', () => {
    const coordinator = createCoordinator({ steps: 1 });
    coordinator.answerAll(coordinator.join());
    const late = coordinator.open();
    expect(sentTo(late, coordinator.log)).toEqual(['finish', 'close']);
    expect(coordinator.hello(late)).toEqual([]);
    expect(coordinator.state.connections.size).toBe(0);
  });

  it('comes once: a stop after it, or twice, changes nothing', () => {
    const coordinator = createCoordinator({ steps: 1 });
    coordinator.answerAll(coordinator.join());
    expect(coordinator.send({ type: 'stop', message: 'stopped' })).toEqual([]);
    const other = createCoordinator();
    other.join();
    expect(other.send({ type: 'stop', message: 'stopped' }).at(-1)).toEqual({ type: 'failed', message: 'stopped' });
    expect(other.send({ type: 'stop', message: 'again' })).toEqual([]);
  });

  it('counts the time that each worker took part, once', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const only = coordinator.join();
    coordinator.nowMs += 25;
    coordinator.answerAll(only, 20);
    expect(coordinator.state.records.get('w1')).toMatchObject({ readyMs: 25, computeMs: 20 });
  });
});

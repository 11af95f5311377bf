import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../src/setup.ts';
import { eventsOf, ScriptedCoordinator, sentTo, started } from './scripted-coordinator.ts';

const { heartbeatMs } = defaultLimits;

/** Messages to a worker that is let in. */
const joins = ['welcome', 'sendNumericsCheck'];
const own = { refereeMode: 'f32-mul-add.v1', refereeHash: 'aaaaaaaa' };

describe('a worker that joins', () => {
  it('gets a welcome and a numerics check first; it counts, and gets tasks, only after its result', () => {
    const { coordinator, first } = started(1, { startWorkers: 2, epochs: 4 });
    expect(first).toBe(1);
    expect(coordinator.state.phase).toBe('waiting');
    const second = coordinator.open();
    expect(sentTo(second, coordinator.hello(second))).toEqual(joins);
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.numericsResult(second);
    expect(coordinator.state.phase).toBe('training');
  });

  it('in the middle of a run is assigned shards from the next step that is planned', () => {
    const { coordinator } = started(1, { startWorkers: 2, epochs: 4 });
    coordinator.join();
    const newest = coordinator.open();
    coordinator.hello(newest);
    coordinator.completePlannedSteps();
    expect(sentTo(newest, coordinator.effects)).toEqual(joins);
    coordinator.numericsResult(newest);
    coordinator.completePlannedSteps();
    expect(coordinator.tasksOf(newest).length).toBeGreaterThan(0);
  });
});

describe('a hello', () => {
  it.each([
    ['without a token', {}, 'token'],
    ['with a wrong token', { token: 'guess' }, 'token'],
    ['with the beginning of the token', { token: 'secre' }, 'token'],
    ['with a token that goes on after the right one', { token: 'secretsecret' }, 'token'],
    ['of another protocol version', { token: 'secret', protocol: 99 }, 'protocol'],
  ])('%s is refused with a message that does not contain the token', (_, changes, code) => {
    const coordinator = new ScriptedCoordinator({ token: 'secret' });
    const connection = coordinator.open();
    const effects = coordinator.hello(connection, changes);
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code } });
    expect(sentTo(connection, effects)).toEqual(['refuse', 'close']);
    expect(coordinator.state.connections.size + coordinator.state.records.size).toBe(0);
    expect(JSON.stringify(effects)).not.toContain('secret');
    const welcome = coordinator.open();
    expect(sentTo(welcome, coordinator.hello(welcome, { token: 'secret' }))).toEqual(joins);
  });

  it('to a full run is refused with the time to wait, unless it takes the place of its own half-open connection', () => {
    const { coordinator } = started(1, { limits: { maxWorkers: 2 } });
    const other = coordinator.join();
    const third = coordinator.open();
    const refusal = { type: 'refuse', code: 'full', retryAfterMs: 30_000 };
    expect(coordinator.hello(third)[0]).toMatchObject({ type: 'send', message: refusal });
    const returned = coordinator.open();
    coordinator.hello(returned, { resumeKey: 'key-1' });
    coordinator.nowMs += 1;
    coordinator.pong(other);
    expect(sentTo(returned, coordinator.wait(heartbeatMs))).toEqual(joins);
  });

  it('from an address that has its share of the places is refused, from another one it is welcome', () => {
    const coordinator = new ScriptedCoordinator({ limits: { maxWorkersPerAddress: 1 } });
    const from = (address: string): string[] => {
      const connection = coordinator.open(address);
      return sentTo(connection, coordinator.hello(connection));
    };
    expect(from('a')).toEqual(joins);
    expect(from('a')).toEqual(['refuse', 'close']);
    expect(from('b')).toEqual(joins);
    // Workers of the coordinator's own process have no address.
    expect([from(''), from('')].flat()).not.toContain('refuse');
  });
});

it('to an address of three liars is refused for a time, unless it was in the run without a wrong result', () => {
  const coordinator = new ScriptedCoordinator({ epochs: 50, verifyRate: 1, ...own });
  const member = coordinator.join({ address: 'a' });
  const liars = [1, 2, 3].map(() => {
    const liar = coordinator.join({ address: 'a' });
    coordinator.completePlannedSteps();
    coordinator.liars.add(liar);
    coordinator.gradient(liar, coordinator.tasksOf(liar)[0]!);
    return liar;
  });
  expect(coordinator.state.faults.quarantined).toBe(3);
  coordinator.close(member);
  const from = (address: string, resumeKey?: string): unknown[] => {
    const connection = coordinator.open(address);
    return coordinator
      .hello(connection, resumeKey === undefined ? {} : { resumeKey })
      .flatMap((command) => (command.type === 'send' ? [command.message] : []));
  };
  const refusal = (retryAfterMs: number) => expect.objectContaining({ type: 'refuse', code: 'numerics', retryAfterMs });
  const welcome = expect.objectContaining({ type: 'welcome' });
  expect(from('a')).toEqual([refusal(5_000)]);
  for (const liar of liars) expect(from('a', `key-${liar}`)).toEqual([refusal(5_000)]);
  expect(from('a', `key-${member}`)).toContainEqual(welcome);
  expect(from('b')).toContainEqual(welcome);
  coordinator.wait(5_000);
  expect(from('a')).toContainEqual(welcome);
});

it('a liar is named for the rest of the run, also if none of its results counts', () => {
  const coordinator = new ScriptedCoordinator({ epochs: 50, verifyRate: 1, ...own });
  coordinator.join();
  const liar = coordinator.join();
  coordinator.liars.add(liar);
  while (coordinator.state.connections.has(liar)) coordinator.completeSteps(1);
  coordinator.wait(3_600_000);
  expect(coordinator.state.records.get('w2')).toMatchObject({ shards: 0, quarantined: expect.any(String) });
});

describe('a worker is refused', () => {
  const gpu = 'gpu.js webgl2';

  it('if its gradient of the numerics check is wrong, and never gets a shard', () => {
    const coordinator = new ScriptedCoordinator();
    const connection = coordinator.open();
    coordinator.hello(connection);
    const message = 'numerics check: it computes wrongly';
    const effects = coordinator.dispatch({ type: 'numericsMismatch', connection, message });
    expect(effects[0]).toMatchObject({ type: 'send', message: { type: 'refuse', code: 'numerics' } });
    expect(sentTo(connection, coordinator.effects)).not.toContain('sendTask');
  });

  it("if its bits differ from the coordinator's in the same numeric mode; in a mode of its own it is welcome", () => {
    const coordinator = new ScriptedCoordinator(own);
    const liar = coordinator.open();
    coordinator.hello(liar, { numericMode: own.refereeMode });
    expect(sentTo(liar, coordinator.numericsResult(liar, 'bbbbbbbb'))).toEqual(['refuse', 'close']);
    expect(coordinator.tasksOf(coordinator.join({ numericMode: gpu, hash: 'bbbbbbbb' }))).toHaveLength(1);
  });

  it('if its bits differ in a run that rounds nodes, with a sentence that says what to choose', () => {
    expect(() => new ScriptedCoordinator({ roundsToHalves: true })).toThrow(/^run: expected refereeHash, .* got none$/);
    const coordinator = new ScriptedCoordinator({ ...own, roundsToHalves: true });
    const connection = coordinator.open();
    coordinator.hello(connection, { numericMode: gpu });
    const effects = coordinator.numericsResult(connection, 'bbbbbbbb');
    expect(sentTo(connection, effects)).toEqual(['refuse', 'close']);
    const choice = `fp16-exact gradients requires, got those of ${gpu}: compute on the CPU`;
    const refusal = { type: 'refuse', code: 'numerics', message: expect.stringContaining(choice) };
    expect(effects).toContainEqual(expect.objectContaining({ message: refusal }));
    expect(coordinator.tasksOf(coordinator.join({ numericMode: gpu, hash: 'aaaaaaaa' }))).toHaveLength(1);
  });
});

describe('a worker that returns', () => {
  it('within the resume window keeps its identity and its counts', () => {
    const { coordinator, first } = started(1, { epochs: 10 });
    coordinator.nowMs += 10;
    coordinator.answerAll(first);
    coordinator.close(first);
    coordinator.nowMs += 30_000;
    const returned = coordinator.join({ resumeKey: 'key-1', name: 'renamed' });
    expect(coordinator.workerId(returned)).toBe('w1');
    expect(eventsOf(coordinator.effects)).toContainEqual({ type: 'joined', workerId: 'w1', returned: true });
    coordinator.answerAll(returned);
    expect(coordinator.state.records.get('w1')).toMatchObject({ name: 'renamed', shards: 2, leftAtMs: undefined });
  });

  it('after invalid messages waits twice as long each time; others at its address do not', () => {
    const address = '10.0.0.1';
    const { coordinator } = started(1, { epochs: 10 });
    let worker = coordinator.join({ address });
    const id = coordinator.workerId(worker);
    const resumeKey = `key-${worker}`;
    for (const waitMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]) {
      coordinator.dispatch({ type: 'invalid', connection: worker, closeCode: 1002, message: 'chunk: wrong' });
      for (const [waitedMs, retryAfterMs] of [
        [0, waitMs],
        [waitMs - 1, 1],
      ] as const) {
        coordinator.nowMs += waitedMs;
        const [refusal] = coordinator.hello(coordinator.open(address), { resumeKey });
        expect(refusal).toMatchObject({ type: 'send', message: { type: 'refuse', code: 'busy', retryAfterMs } });
        const other = coordinator.open(address);
        expect(sentTo(other, coordinator.hello(other))).toEqual(joins);
        coordinator.close(other);
      }
      coordinator.nowMs += 1;
      worker = coordinator.join({ resumeKey, address });
      expect(coordinator.workerId(worker)).toBe(id);
    }
  });

  it('after the window gets a new identity, and its earlier work stays in the records', () => {
    const { coordinator, first } = started(1, { epochs: 10 });
    coordinator.answerAll(first);
    coordinator.close(first);
    coordinator.wait(30_001);
    const returned = coordinator.join({ resumeKey: 'key-1' });
    expect(coordinator.workerId(returned)).toBe('w2');
    expect([...coordinator.state.records.keys()]).toEqual(['w1', 'w2']);
  });

  it('replaces the half-open connection that it left behind if that does not answer, and gets its shards', () => {
    const { coordinator, first: halfOpen } = started(1);
    const returned = coordinator.open();
    const claim = coordinator.hello(returned, { resumeKey: 'key-1' });
    expect([sentTo(halfOpen, claim), sentTo(returned, claim)]).toEqual([['ping'], []]);
    expect(coordinator.wait(heartbeatMs - 1)).toEqual([]);
    const effects = coordinator.wait(1);
    expect(sentTo(halfOpen, effects)).toContain('close');
    expect(sentTo(returned, effects)).toEqual(joins);
    expect(coordinator.state.phase).toBe('paused');
    coordinator.numericsResult(returned);
    expect(coordinator.tasksOf(returned).length).toBeGreaterThan(0);
    coordinator.close(halfOpen);
    coordinator.finish();
    expect(coordinator.state.records.size).toBe(1);
  });

  it('is let in at once when its old connection turns out to be closed', () => {
    const { coordinator, first: halfOpen } = started(1);
    const returned = coordinator.open();
    coordinator.hello(returned, { resumeKey: 'key-1' });
    coordinator.close(halfOpen);
    expect(sentTo(returned, coordinator.wait(1))).toEqual(joins);
    expect(coordinator.workerId(returned)).toBe('w1');
  });

  it.each([
    ['answers a ping', (coordinator: ScriptedCoordinator, victim: number) => coordinator.pong(victim)],
    [
      'is in the middle of a long frame',
      (coordinator: ScriptedCoordinator, victim: number) =>
        void coordinator.dispatch({ type: 'tick', receivedBytes: new Map([[victim, 1_000]]) }),
    ],
  ])('with the key of a connected worker that %s gets a new identity, and takes nothing', (_, show) => {
    const { coordinator, first: victim } = started(1);
    const tasks = coordinator.tasksOf(victim);
    const thief = coordinator.open();
    coordinator.hello(thief, { resumeKey: 'key-1' });
    coordinator.nowMs += 20;
    show(coordinator, victim);
    coordinator.wait(50);
    expect([coordinator.workerId(victim), coordinator.workerId(thief)]).toEqual(['w1', 'w2']);
    expect(coordinator.tasksOf(victim)).toEqual(tasks);
    expect(coordinator.state.records.get('w2')?.resumeKey).toBe(`key-${thief}`);
  });

  it('twice at once comes back once', () => {
    const { coordinator } = started(1);
    const [first, second] = [coordinator.open(), coordinator.open()];
    for (const connection of [first, second]) coordinator.hello(connection, { resumeKey: 'key-1' });
    coordinator.wait(heartbeatMs);
    expect([coordinator.workerId(first), coordinator.workerId(second)]).toEqual(['w1', 'w2']);
  });

  it('with an unknown key gets a new identity, whatever its name is', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.join({ name: 'twin' });
    const guess = coordinator.join({ resumeKey: 'key-99', name: 'twin' });
    expect(coordinator.workerId(guess)).toBe('w2');
    expect(coordinator.state.connections.size).toBe(2);
  });

  it('keeps its record while it is checked, even when the resume window ends meanwhile', () => {
    const { coordinator, first: other } = started(1);
    const first = coordinator.join();
    coordinator.close(first);
    coordinator.nowMs += 29_000;
    coordinator.pong(other);
    const returned = coordinator.open();
    coordinator.hello(returned, { resumeKey: `key-${first}` });
    coordinator.wait(2_000);
    coordinator.numericsResult(returned);
    expect(coordinator.workerId(returned)).toBe('w2');
    expect(coordinator.state.records.has('w2')).toBe(true);
  });
});

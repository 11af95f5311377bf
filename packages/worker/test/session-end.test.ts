import { bytesOf } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { LivenessTimer } from '../src/session.ts';
import { activated, computing, Script, task, weights } from './script.ts';

/** The batch of a task without samples. */
const none = { count: 0, samples: new Uint8Array(0), targets: new Uint8Array(0) };

describe('a worker session', () => {
  it('answers a ping while it computes', async () => {
    const script = await activated();
    await script.send(weights(0), task(0, 0), { type: 'ping', sentAtMs: 12.5 });
    expect(script.of('pong')).toEqual([{ type: 'pong', sentAtMs: 12.5 }]);
  });

  it('pings once in each heartbeat without being asked, but for one in which it is frozen, until its end', async () => {
    const script = new Script();
    await script.pass(10_000);
    expect(script.of('ping')).toEqual([]);
    await script.activate();
    await script.pass(7_000);
    expect(script.of('ping')).toHaveLength(3);
    await script.send({ type: 'injectFault', action: 'freeze', forMs: 2_000 });
    await script.pass(4_000);
    expect(script.of('ping').map(({ sentAtMs }) => sentAtMs)).toEqual([12_000, 14_000, 16_000, 20_000]);
    await script.send({ type: 'finish', message: 'the run has finished' });
    await script.close(1000, '');
    await script.pass(10_000);
    expect(script.of('ping')).toHaveLength(4);
  });

  it('is lost where the coordinator never sends a message', async () => {
    const script = new Script();
    await script.pass(14_000);
    expect(script.end).toBeUndefined();
    await script.pass(4_000);
    expect(script.end).toEqual({ type: 'lost', message: 'the coordinator sent nothing for 15 s' });
    expect(script.closing).toMatchObject({ code: 1001 });
  });

  it('is lost after eight heartbeats of silence, where any message is a sign of life', async () => {
    const script = await activated();
    for (let beat = 0; beat < 20; beat++) {
      await script.send({ type: 'ping', sentAtMs: 0 });
      await script.pass(15_000);
    }
    expect(script.end).toBeUndefined();
    await script.pass(3_001);
    expect(script.end).toEqual({ type: 'lost', message: 'the coordinator sent nothing for 16 s' });
  });

  it('ends refused, with the message, even where the coordinator never closes', async () => {
    const script = new Script();
    await script.send({ type: 'refuse', code: 'full', message: 'the coordinator is full', retryAfterMs: 30_000 });
    expect(script.end).toEqual({
      type: 'refused',
      code: 'full',
      message: 'the coordinator is full',
      retryAfterMs: 30_000,
    });
    const other = new Script();
    await other.send({ type: 'refuse', code: 'token', message: 'the token is not the one' });
    expect(other.end).toEqual({ type: 'refused', code: 'token', message: 'the token is not the one' });
  });

  it('ends finished even where the coordinator never closes, and computes nothing more', async () => {
    const script = await computing(0, 1);
    await script.send({ type: 'finish', message: 'the run has finished' });
    expect(script.end).toEqual({ type: 'finished', message: 'the run has finished' });
    await script.jobs[0]!.finish();
    expect(script.jobs).toHaveLength(1);
    expect(script.of('gradient')).toEqual([]);
  });

  it('keeps the first end: a close after a refusal is no loss', async () => {
    const script = new Script();
    await script.send({ type: 'refuse', code: 'protocol', message: 'another version' });
    await script.close(1008, 'policy');
    expect(script.end).toMatchObject({ type: 'refused', code: 'protocol' });
  });

  it.each([
    [1008, 'silent for 15 s', 'silent for 15 s'],
    [1001, '', 'no reason given'],
  ])('is lost where the coordinator closes with %i and "%s"', async (code, reason, message) => {
    const script = await activated();
    await script.close(code, reason);
    expect(script.end).toEqual({ type: 'lost', message });
  });

  it('is lost where the connection breaks, and sends nothing of the shard that it computes', async () => {
    const script = await computing(0, 1);
    await script.sever();
    expect(script.end).toEqual({ type: 'lost', message: 'the connection to the coordinator broke' });
    await script.jobs[0]!.finish();
    expect(script.jobs).toHaveLength(1);
    expect(script.clock.step()).toBe(false);
  });

  it('says goodbye when it leaves, once', async () => {
    const script = await activated();
    script.session.leave('tester leaves');
    script.session.leave('tester leaves');
    await script.settle();
    expect(script.of('bye')).toEqual([{ type: 'bye', message: 'tester leaves' }]);
    expect(script.end).toEqual({ type: 'finished', message: 'tester leaves' });
    expect(script.closing).toMatchObject({ code: 1000, by: 'remote' });
  });

  it('that is killed from the dashboard fails', async () => {
    const script = await activated();
    await script.send({ type: 'injectFault', action: 'kill', forMs: 0 });
    expect(script.end).toEqual({ type: 'failed', message: 'killed from the dashboard' });
  });

  it('closes a connection on a frame that is no message of a coordinator', async () => {
    const script = new Script();
    await script.send({ type: 'bye', message: 'going' });
    expect(script.end).toBeUndefined();
    await script.send({ type: 'task', step: -1, lo: 0, n: 1, ...none });
    expect(script.end).toMatchObject({ type: 'lost', message: expect.stringContaining('task.step') });
  });

  it('closes a connection on a task whose samples are not of the shape that was announced', async () => {
    const script = await activated();
    await script.send(weights(0), { ...task(0, 0), samples: new Uint8Array(6) });
    const message = 'task: expected 2 samples of u8 [1] and targets of u16, got 6 and 4 bytes';
    expect(script.end).toEqual({ type: 'lost', message });
  });

  it('closes a connection on a task that names a sample which has not arrived', async () => {
    const script = await activated({ cachedSamples: 6 }, 6);
    const numbers = bytesOf(Uint32Array.of(3));
    await script.send({ ...task(0, 0), numbers, ...none });
    const message = 'task: expected samples that have arrived, got sample 3';
    expect(script.end).toEqual({ type: 'lost', message });
    expect(script.closing).toMatchObject({ code: 1002, reason: message });
  });
});

/** Returns when a coordinator whose bytes arrive at these times is taken for dead, in milliseconds. */
function silentAtMs(arrivalsMs: readonly number[]): number | undefined {
  const clock = new VirtualClock();
  const transport = { receivedBytes: 0 };
  let noticedAtMs: number | undefined;
  new LivenessTimer(clock, transport, 16_000, () => {
    noticedAtMs = clock.nowMs();
  });
  for (const atMs of arrivalsMs) clock.after(atMs, () => transport.receivedBytes++);
  while (noticedAtMs === undefined && clock.step());
  return noticedAtMs;
}

it('a coordinator is taken for dead once nothing has come for longer than the patience, not while bytes come', () => {
  expect(silentAtMs([])).toBe(18_000);
  // Bytes of an unfinished message count, however long that takes.
  expect(silentAtMs(Array.from({ length: 20 }, (_, index) => 10_000 * (index + 1)))).toBe(218_000);
});

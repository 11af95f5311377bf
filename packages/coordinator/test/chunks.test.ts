/** Gradients in chunks: invalid ones are refused, late ones ignored, and incomplete ones leave nothing behind. */
import { chunkChecksum, type MessageOf } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { Client, createRunFixture, hello, inChunks, type RunFixture } from './run-fixture.ts';

type Messages = MessageOf<'gradient' | 'chunk'>[];
type Three = [MessageOf<'gradient'>, MessageOf<'chunk'>, MessageOf<'chunk'>];

/** The model has 43 values, in chunks of 16, 16 and 11. */
const chunkBytes = 64;
const limits = { chunkBytes };

const sealed = (part: Pick<MessageOf<'chunk'>, 'at' | 'bytes' | 'encoding'>): MessageOf<'chunk'> => ({
  type: 'chunk',
  ...part,
  checksum: chunkChecksum(part),
});

/** A client that has passed the numerics check with a gradient in chunks, and has its first task. */
async function joinClient(fixture: RunFixture): Promise<Client> {
  const client = new Client(fixture);
  client.send(hello);
  await fixture.until(() => client.received('chunk').length === 2);
  const { gradient, ...rest } = fixture.numericsResult();
  client.send({ ...rest, gradient: gradient.subarray(0, 64), values: 43 });
  client.send({ type: 'chunk', at: 16, bytes: gradient.subarray(64, 128) });
  client.send({ type: 'chunk', at: 32, bytes: gradient.subarray(128) });
  await fixture.until(() => client.received('task').length > 0);
  return client;
}

const answerOf = (client: Client, value: number): Three =>
  inChunks(client.answerTo(client.received('task').findLast(({ step }) => step === 0)!, value), chunkBytes) as Three;

/** A proven client: it has answered its first task correctly. */
async function joinProvenClient(fixture: RunFixture): Promise<Client> {
  const client = await joinClient(fixture);
  const answer = await client.rightAnswerTo(client.received('task')[0]!);
  for (const message of inChunks(answer, chunkBytes)) client.send(message);
  await fixture.until(() => client.received('task').length > 1);
  return client;
}

describe('a gradient', () => {
  const breaches: [string, (messages: Three) => Messages, string][] = [
    ['without its second chunk', ([a, , c]) => [a, c], 'chunk: expected the values from 16 on, got those from 32 on'],
    ['with one chunk twice', ([a, b]) => [a, b, b], 'chunk: expected the values from 32 on, got those from 16 on'],
    ['with a chunk too many', ([a, b, c]) => [a, b, c, sealed({ ...c, at: 43 })], 'chunk: expected a vector'],
    ['with a short chunk', ([a, b]) => [a, sealed({ ...b, bytes: b.bytes.subarray(4) })], 'expected 64 bytes, got 60'],
    ['with a long last chunk', ([a, b, c]) => [a, b, sealed({ ...b, at: c.at })], 'expected 44 bytes, got 64'],
    ['with a rounded chunk', ([a, b]) => [a, sealed({ ...b, encoding: 'fp16' })], 'not rounded, got fp16'],
    ['with a damaged chunk', ([a, b]) => [a, { ...b, bytes: b.bytes.map((byte) => byte ^ 1) }], 'expected checksum'],
    ['with a chunk of another place', ([a, b, c]) => [a, { ...c, at: b.at }], 'expected 64 bytes, got 44'],
    ['with a chunk that is not sealed', ([a, { at, bytes }]) => [a, { type: 'chunk', at, bytes }], 'got none'],
    ['with another one between its chunks', ([a, b]) => [a, b, a], 'gradient: expected the other chunks of a gradient'],
    ['that announces more values', ([a]) => [{ ...a, values: 44 }], 'expected 43 values in chunks, got 44'],
    ['that announces no chunks', ([{ values: _, ...a }]) => [a], 'expected 43 values in chunks, got all'],
  ];

  it.each(breaches)('%s closes its socket with 1002, and nothing of it is kept', async (_, change, reason) => {
    const fixture = await createRunFixture({ limits });
    const client = await joinProvenClient(fixture);
    // The pause keeps a complete gradient from ending the step before the next message.
    fixture.run.control('pause');
    for (const message of change(answerOf(client, 0))) client.send(message);
    await fixture.until(() => client.closing !== undefined);
    expect(client.closing).toMatchObject({ code: 1002, reason: expect.stringContaining(reason) });
    expect(fixture.run.state.faults).toMatchObject({ rejected: 1, disconnects: 1 });
    expect(fixture.problem.run.parameterServer.aggregator.reservedCount).toBe(0);
  });

  it('whose sender dies between chunks leaves nothing behind', async () => {
    const fixture = await createRunFixture({ limits });
    const { aggregator } = fixture.problem.run.parameterServer;
    for (let round = 0; round < 3; round++) {
      const client = await joinClient(fixture);
      for (const message of answerOf(client, 1e6).slice(0, 2)) client.send(message);
      await fixture.until(() => aggregator.reservedCount === 1);
      client.sever();
      await fixture.until(() => aggregator.reservedCount === 0);
    }
    fixture.join();
    await fixture.finish();
  });

  it('of a step that is over is ignored: its chunks are neither kept nor checked', async () => {
    const fixture = await createRunFixture({ limits });
    const client = await joinProvenClient(fixture);
    const [first, second, third] = answerOf(client, 1e6);
    fixture.join();
    await fixture.until(() => fixture.run.state.current.step > 0);
    const answers = fixture.traces.filter(({ type }) => type === 'answered').length;
    fixture.run.control('pause');
    for (const message of [first, { ...second, checksum: 0 }, third]) client.send(message);
    await fixture.until(() => fixture.traces.filter(({ type }) => type === 'answered').length > answers);
    expect(client.closing).toBeUndefined();
    fixture.run.control('resume');
    await fixture.finish();
  });

  it('may have other messages between its chunks, and is ignored where its step ends meanwhile', async () => {
    const fixture = await createRunFixture({ limits });
    const client = await joinProvenClient(fixture);
    const [first, second, third] = answerOf(client, 1e6);
    client.send(first);
    client.send({ type: 'ping', sentAtMs: 5 });
    await fixture.until(() => client.received('pong').length === 1);
    fixture.join();
    await fixture.until(() => fixture.run.state.current.step > 0);
    client.send(second);
    client.send({ type: 'status', hidden: true });
    client.send(third);
    await fixture.finish();
    expect(fixture.problem.run.parameterServer.aggregator.reservedCount).toBe(0);
  });
});

describe('memory for a gradient that is read before its message is checked', () => {
  const bytes = 4 * 43;

  it("is the sum's own, once the worker is ready, if the gradient fits there", async () => {
    const fixture = await createRunFixture();
    const { aggregator } = fixture.problem.run.parameterServer;
    expect(new Client(fixture).listener!.memoryFor!('gradient', bytes)).toBeUndefined();
    const client = await fixture.joinClient();
    const memoryFor = client.listener!.memoryFor!;
    for (const [type, length] of [
      ['numericsResult', bytes],
      ['chunk', 4],
      ['gradient', 6],
    ] as const) {
      expect(memoryFor(type, length)).toBeUndefined();
    }
    expect(aggregator.reservedCount).toBe(0);
    expect(memoryFor('gradient', bytes + 4)).toBeUndefined();
    const memory = memoryFor('gradient', bytes)!;
    expect(memory).toHaveLength(bytes);
    const task = client.received('task')[0]!;
    const answer = await client.rightAnswerTo(task);
    memory.set(answer.bytes);
    client.listener!.onMessage({ ...answer, bytes: memory });
    // A second gradient does not overwrite one that may still be compared or added.
    const next = memoryFor('gradient', bytes)!;
    expect(next.buffer === memory.buffer && next.byteOffset === memory.byteOffset).toBe(false);
    next.fill(0xff);
    fixture.join();
    await fixture.finish();
  });

  it('is used again if nothing took it, and is free once the connection ends', async () => {
    const fixture = await createRunFixture();
    const { aggregator } = fixture.problem.run.parameterServer;
    const client = await fixture.joinClient();
    const { memoryFor } = client.listener!;
    const [first, second] = [memoryFor!('gradient', bytes)!, memoryFor!('gradient', bytes)!];
    expect([second.buffer, second.byteOffset]).toEqual([first.buffer, first.byteOffset]);
    expect(aggregator.reservedCount).toBe(1);
    client.sever();
    await fixture.until(() => aggregator.reservedCount === 0);
    expect(memoryFor!('gradient', bytes)).toBeUndefined();
    fixture.join();
    await fixture.finish();
  });
});

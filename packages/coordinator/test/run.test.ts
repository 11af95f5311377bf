import type { MessageOf } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { drain, hash } from '../../compute/test/support.ts';
import { Client, createRunFixture, hello, type RunFixture, signed } from './run-fixture.ts';

type Gradient = MessageOf<'gradient'>;

/** A client and an answer to its first task: a gradient of zeros, which passes all checks. */
async function clientWithAnswer(fixture: RunFixture): Promise<{ client: Client; answer: Gradient }> {
  const client = await fixture.joinClient();
  return { client, answer: client.answerTo(client.received('task')[0]!, 0) };
}

describe('a gradient that fails a check', () => {
  const corruptions: [string, (answer: Gradient) => Gradient, string][] = [
    ['its sparse form', (answer) => ({ ...answer, encoding: 'sparse' }), 'gradient: expected'],
    ['an encoding that the run does not use', (answer) => ({ ...answer, encoding: 'fp16' }), 'not rounded, got fp16'],
    ['its checksum', (answer) => ({ ...answer, checksum: answer.checksum ^ 1 }), 'checksum'],
    ['its alignment', (answer) => ({ ...answer, lo: 1, n: 2 }), 'lo a multiple of n'],
    ['its loss', (answer) => ({ ...answer, lossSum: Number.NaN }), 'gradient.lossSum: expected a finite number'],
  ];

  it.each(corruptions)(
    'for %s closes its socket with 1002 and the reason; the run ends with the right weights',
    async (_, corrupt, message) => {
      const fixture = await createRunFixture();
      const { client, answer } = await clientWithAnswer(fixture);
      client.send(corrupt(answer));
      await fixture.until(() => client.closing !== undefined);
      expect(client.closing).toMatchObject({ code: 1002, reason: expect.stringContaining(message) });
      expect(fixture.run.state.faults).toMatchObject({ rejected: 1, disconnects: 1 });
      fixture.join();
      await fixture.finish();
    },
  );

  it.each<[string, (answer: Gradient) => Gradient]>([
    [
      'for one value that is not finite',
      ({ bytes, ...rest }) => {
        new Float32Array(bytes.buffer)[7] = Number.NEGATIVE_INFINITY;
        return { ...rest, bytes };
      },
    ],
    ['for a loss beyond float32', (answer) => ({ ...answer, lossSum: 1e300 })],
  ])('%s is computed by another worker, and its sender stays connected', async (_, spoil) => {
    const fixture = await createRunFixture();
    const { client, answer } = await clientWithAnswer(fixture);
    fixture.join();
    await fixture.until(() => fixture.run.state.connections.size === 2 && fixture.events.length >= 3);
    client.send(signed(spoil(answer)));
    await fixture.until(() => fixture.run.state.faults.rejected === 1);
    const message = expect.stringContaining('is not finite');
    expect(fixture.events).toContainEqual(expect.objectContaining({ type: 'rejected', message }));
    expect(client.closing).toBeUndefined();
    await fixture.finish();
  });
});

const wrongValue = 1e6;

it('a gradient of a newcomer, however late, is compared with the sum that was added', async () => {
  for (const isRight of [true, false]) {
    const fixture = await createRunFixture({ epochs: 20 });
    const client = await fixture.joinClient();
    const task = client.received('task')[0]!;
    const answer = isRight ? await client.rightAnswerTo(task) : client.answerTo(task, wrongValue);
    fixture.join();
    await fixture.until(() => fixture.run.state.current.step > 2);
    expect(fixture.run.state.records.get('w1')?.shards).toBe(0);
    client.send(answer);
    await fixture.until(() => fixture.run.state.connections.get(1)?.trial?.step !== 0);
    expect(fixture.run.state.connections.get(1)).toMatchObject({ isProven: isRight, isDoubted: !isRight });
    if (isRight) client.sever();
    else {
      // Nothing had confirmed the added sum, so the coordinator computes the next trial as well and finds the liar.
      await fixture.until(() => client.received('weights').length > 1);
      client.send(client.answerTo(client.received('task')[1]!, wrongValue));
      await fixture.until(() => fixture.run.state.faults.quarantined === 1);
    }
    await fixture.finish();
  }
});

it('a second gradient of a shard is not added', async () => {
  const fixture = await createRunFixture();
  const client = await fixture.joinClient();
  // The second gradient arrives while the shard is done and the step is not taken.
  fixture.run.control('pause');
  const task = client.received('task')[0]!;
  client.send(await client.rightAnswerTo(task));
  client.send(client.answerTo(task, wrongValue));
  await fixture.until(() => fixture.traces.filter(({ type }) => type === 'answered').length === 2);
  expect(fixture.run.state.records.get('w1')?.shards).toBe(1);
  fixture.run.control('resume');
  fixture.join();
  await fixture.finish();
});

describe('a numerics result', () => {
  it('with a wrong gradient is refused with a message', async () => {
    const fixture = await createRunFixture();
    const client = new Client(fixture);
    const result = fixture.numericsResult();
    const gradient = new Uint8Array(new Float32Array(result.gradient.buffer).map((value) => value + 1).buffer);
    client.send(hello);
    client.send({ ...result, gradient, hash: hash(gradient) });
    await fixture.until(() => client.closing !== undefined);
    const message = expect.stringContaining('differs');
    expect(client.received('refuse')).toMatchObject([{ code: 'numerics', message }]);
    expect(client.received('task')).toEqual([]);
  });

  const expected = 'expected 43 values in chunks, got';
  it.each<[string, Partial<MessageOf<'numericsResult'>>, string]>([
    ['has a hash that is not that of its gradient', { hash: 'abcdef01' }, 'numerics check: expected hash'],
    ['announces more values', { values: 44 }, `${expected} 44`],
    ['announces a gigabyte', { values: 2 ** 28 }, `${expected} 268435456`],
  ])('that %s closes its socket', async (_, changes, reason) => {
    const fixture = await createRunFixture('values' in changes ? { limits: { chunkBytes: 64 } } : {});
    const client = new Client(fixture);
    client.send(hello);
    const { gradient, ...result } = fixture.numericsResult();
    const sent = 'values' in changes ? gradient.subarray(0, 64) : gradient;
    client.send({ ...result, gradient: sent, ...changes });
    await fixture.until(() => client.closing !== undefined);
    expect(client.closing).toMatchObject({ code: 1002, reason: expect.stringContaining(reason) });
  });
});

describe('a worker that answers pings and never a task', () => {
  it('does not stop the run, even where it reports that the numerics check took a year', async () => {
    const fixture = await createRunFixture({ epochs: 2 });
    const lazy = new Client(fixture);
    lazy.send(hello);
    lazy.send({ ...fixture.numericsResult(), computeMs: 3e10 });
    await fixture.until(() => lazy.received('task').length > 0);
    const answerPings = (): void => {
      if (lazy.closing) return;
      lazy.send({ type: 'pong', sentAtMs: 0 });
      fixture.clock.after(1_000, answerPings);
    };
    answerPings();
    fixture.join();
    await fixture.finish();
  });
});

it('bytes on their way to a worker put off its deadline if its link has become slow', async () => {
  const limits = { heartbeatMs: 200, hardDeadlineMs: 1_000 };
  const sizes = { samples: 15_000, batch: 15_000, microbatchSize: 2_000, epochs: 6 };
  const fixture = await createRunFixture({ ...sizes, limits });
  const worker = fixture.join({ computeMs: () => 10 });
  await fixture.until(() => fixture.run.state.current.step > 0);
  // At this speed the samples of a step take 1.9 s.
  worker.link?.changeSpeed({ latencyMs: 1, bytesPerMs: 40 });
  await fixture.finish();
  expect(fixture.clock.nowMs()).toBeGreaterThan(2 * 1_900);
  expect(fixture.run.state.faults.disconnects).toBe(0);
});

it.each<[string, note: (client: Client, bytes: number) => void, reason: string, beforeMs: number]>([
  [
    'to a worker count only if they were sent, whatever it says',
    (client, receivedBytes) => client.send({ type: 'ping', sentAtMs: 0, receivedBytes }),
    'no result before its deadline',
    6_000,
  ],
  [
    'from a worker put off its deadline while they arrive',
    (client, bytes) => {
      client.sentBytes = Math.min(bytes, 20e6);
    },
    'silent for 15 s',
    36_000,
  ],
])('bytes on their way %s', async (_, note, reason, beforeMs) => {
  const fixture = await createRunFixture();
  const client = await fixture.joinClient();
  let bytes = 0;
  const noteMore = (): void => {
    bytes += 1e6;
    note(client, bytes);
    if (!client.closing) fixture.clock.after(1_000, noteMore);
  };
  const since = fixture.clock.nowMs();
  noteMore();
  await fixture.until(() => client.closing !== undefined);
  expect(client.closing).toMatchObject({ reason });
  expect(fixture.clock.nowMs() - since).toBeLessThan(beforeMs);
});

it('a worker that was late is assigned shards again, although others have completed those in its queue', async () => {
  const fixture = await createRunFixture({
    epochs: 400,
    startWorkers: 2,
    samples: 60,
    batch: 30,
    microbatchSize: 2,
  });
  const computeMs = (samples: number): number => samples / 10;
  fixture.join({ name: 'quick', computeMs });
  const slow = fixture.join({ name: 'slow', computeMs });
  await fixture.until(() => fixture.run.state.current.step > 2);
  slow.freeze(400);
  await fixture.until(() => fixture.run.state.faults.duplicated > 0);
  const shardsOf = (name: string) =>
    [...fixture.run.state.records.values()].find((record) => record.name === name)?.shards ?? 0;
  const before = shardsOf('slow');
  await fixture.until(() => shardsOf('slow') > before + 20);
  expect(fixture.outcome).toBeUndefined();
});

describe('a run', () => {
  it('from the checkpoint of its last step has finished', async () => {
    const fixture = await createRunFixture({ epochs: 1 }, 4);
    expect(fixture.outcome).toEqual({ type: 'finished' });
    expect(fixture.clock.step()).toBe(false);
  });

  it('that has ended sends a finish to new clients, and schedules nothing', async () => {
    const fixture = await createRunFixture();
    fixture.join();
    await fixture.until(() => fixture.outcome !== undefined);
    const late = new Client(fixture);
    late.send(hello);
    while (fixture.clock.step()) await drain();
    expect(late.messages).toEqual([{ type: 'finish', message: 'the run has ended' }]);
    expect(late.closing).toMatchObject({ code: 1000 });
  });

  it('that is stopped sends its workers a finish with the reason', async () => {
    const fixture = await createRunFixture({ epochs: 50 });
    const client = await fixture.joinClient();
    fixture.run.stop('stopped by Ctrl-C');
    await fixture.until(() => client.closing !== undefined);
    expect(client.received('finish')).toEqual([{ type: 'finish', message: 'stopped by Ctrl-C' }]);
    expect(fixture.outcome).toEqual({ type: 'failed', message: 'stopped by Ctrl-C' });
  });
});

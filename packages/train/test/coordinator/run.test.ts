import type { MessageOf } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { drain, hash } from '../../../compute/test/support.ts';
import type { Problem } from '../../../sim/test/support.ts';
import { Client, createRunFixture, hello, type RunFixture, signed } from './run-fixture.ts';

type Gradient = MessageOf<'gradient'>;

/** A client and an answer to its first task: a gradient of zeros, which passes all checks. */
async function clientWithAnswer(fixture: RunFixture): Promise<{ client: Client; answer: Gradient }> {
  const client = await fixture.joinClient();
  return { client, answer: client.answerTo(client.received('task')[0]!, 0) };
}

describe('a gradient that fails a check', () => {
  const corruptions: [string, (answer: Gradient, problem: Problem) => Gradient, string][] = [
    ['its length', (answer) => ({ ...answer, bytes: answer.bytes.subarray(4) }), 'bytes, got'],
    ['its sparse form', (answer) => ({ ...answer, encoding: 'sparse' }), 'gradient: expected'],
    ['an encoding that the run does not use', (answer) => ({ ...answer, encoding: 'fp16' }), 'not rounded, got fp16'],
    ['its checksum', (answer) => ({ ...answer, checksum: answer.checksum ^ 1 }), 'checksum'],
    ['its sum of losses', (answer) => ({ ...answer, lossSum: answer.lossSum + 1 }), 'checksum'],
    ['its count', (answer) => ({ ...answer, count: answer.count + 1 }), 'samples, got'],
    ['its step', (answer, { setup: { plan } }) => ({ ...answer, step: plan.steps }), 'a step below'],
    ['its microbatches', (answer, { setup: { plan } }) => ({ ...answer, lo: plan.microbatches }), 'microbatches below'],
    ['its alignment', (answer) => ({ ...answer, lo: 1, n: 2 }), 'lo a multiple of n'],
    ['its loss', (answer) => ({ ...answer, lossSum: Number.NaN }), 'gradient.lossSum: expected a finite number'],
  ];

  it.each(corruptions)(
    'for %s closes its socket with 1002 and the reason; the run ends with the right weights',
    async (_, corrupt, message) => {
      const fixture = await createRunFixture();
      const { client, answer } = await clientWithAnswer(fixture);
      client.send(corrupt(answer, fixture.problem));
      await fixture.until(() => client.closing !== undefined);
      expect(client.closing).toMatchObject({ code: 1002, reason: expect.stringContaining(message) });
      expect(fixture.run.state.faults).toMatchObject({ rejected: 1, disconnects: 1 });
      fixture.join();
      await fixture.finish();
    },
  );

  it('for one value that is not finite is computed by another worker, and its sender stays connected', async () => {
    const fixture = await createRunFixture();
    const client = await fixture.joinClient();
    fixture.join();
    await fixture.until(() => fixture.run.state.connections.size === 2 && fixture.events.length >= 3);
    const { bytes, ...rest } = client.answerTo(client.received('task')[0]!, 0);
    new Float32Array(bytes.buffer)[7] = Number.NEGATIVE_INFINITY;
    client.send(signed({ ...rest, bytes }));
    await fixture.until(() => fixture.run.state.faults.rejected === 1);
    expect(client.closing).toBeUndefined();
    await fixture.finish();
  });

  it('for a loss beyond float32 counts as not finite', async () => {
    const fixture = await createRunFixture();
    const { client, answer } = await clientWithAnswer(fixture);
    client.send(signed({ ...answer, lossSum: 1e300 }));
    await fixture.until(() => fixture.run.state.faults.rejected === 1);
    const message = expect.stringContaining('is not finite');
    expect(fixture.events).toContainEqual(expect.objectContaining({ type: 'rejected', message }));
  });
});

describe('a gradient that is not wanted is not added:', () => {
  const wrongValue = 1e6;
  const answersIn = ({ traces }: RunFixture): number => traces.filter(({ type }) => type === 'answered').length;

  it('one of a step that is over', async () => {
    const fixture = await createRunFixture();
    const client = await fixture.joinClient();
    fixture.join();
    await fixture.until(() => fixture.run.state.current.step > 0);
    // The pause holds the run at a complete sum, so that the late gradient arrives while that sum is in the aggregator.
    fixture.run.control('pause');
    const { step } = fixture.run.state.current;
    await fixture.until(() => [...fixture.run.state.current.shards.values()].every(({ done }) => done));
    const answers = answersIn(fixture);
    client.send(client.answerTo(client.received('task')[0]!, wrongValue));
    await fixture.until(() => answersIn(fixture) > answers);
    expect(fixture.run.state.current.step).toBe(step);
    fixture.run.control('resume');
    await fixture.finish();
  });

  it('a second one of the same shard', async () => {
    const fixture = await createRunFixture();
    const client = await fixture.joinClient();
    // The second gradient arrives while the shard is done and the step is not taken.
    fixture.run.control('pause');
    const task = client.received('task')[0]!;
    client.send(await client.rightAnswerTo(task));
    client.send(client.answerTo(task, wrongValue));
    await fixture.until(() => fixture.run.state.records.get('w1')?.shards === 1);
    await fixture.until(() => answersIn(fixture) === 2);
    expect(fixture.run.state.current.step).toBe(0);
    expect(fixture.run.state.records.get('w1')?.shards).toBe(1);
    fixture.run.control('resume');
    fixture.join();
    await fixture.finish();
  });

  it('one of a newcomer, however late: it is compared with the sum that was added', async () => {
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
});

describe('a numerics result', () => {
  it('with a wrong gradient is refused with a message', async () => {
    const fixture = await createRunFixture();
    const client = new Client(fixture);
    const result = fixture.numericsResult();
    const floats = new Float32Array(result.gradient.slice().buffer);
    floats[0]! += 1;
    const gradient = new Uint8Array(floats.buffer);
    client.send(hello);
    client.send({ ...result, gradient, hash: hash(gradient) });
    await fixture.until(() => client.closing !== undefined);
    expect(client.received('refuse')).toMatchObject([
      { code: 'numerics', message: expect.stringContaining('differs') },
    ]);
    expect(client.received('task')).toEqual([]);
  });

  it('with a hash that is not that of its gradient closes its socket', async () => {
    const fixture = await createRunFixture();
    const client = new Client(fixture);
    client.send(hello);
    client.send({ ...fixture.numericsResult(), hash: 'abcdef01' });
    await fixture.until(() => client.closing !== undefined);
    const reason = expect.stringContaining('numerics check: expected hash');
    expect(client.closing).toMatchObject({ code: 1002, reason });
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

describe('bytes on their way to a worker', () => {
  it('put off its deadline, where its link has become slow', async () => {
    const limits = { heartbeatMs: 200, hardDeadlineMs: 1_000 };
    const fixture = await createRunFixture({
      samples: 15_000,
      batch: 15_000,
      microbatchSize: 2_000,
      epochs: 6,
      limits,
    });
    const worker = fixture.join({ computeMs: () => 10 });
    await fixture.until(() => fixture.run.state.current.step > 0);
    // At this speed the samples of a step take 1.9 s.
    worker.link?.changeSpeed({ latencyMs: 1, bytesPerMs: 40 });
    await fixture.finish();
    expect(fixture.clock.nowMs()).toBeGreaterThan(2 * 1_900);
    expect(fixture.run.state.faults.disconnects).toBe(0);
  });

  it('count only where they were sent, whatever it says', async () => {
    const fixture = await createRunFixture();
    const liar = await fixture.joinClient();
    let receivedBytes = 0;
    const boast = (): void => {
      receivedBytes += 1e6;
      liar.send({ type: 'ping', sentAtMs: 0, receivedBytes });
      if (!liar.closing) fixture.clock.after(1_000, boast);
    };
    const since = fixture.clock.nowMs();
    boast();
    await fixture.until(() => liar.closing !== undefined);
    expect(fixture.clock.nowMs() - since).toBeLessThan(6_000);
  });
});

describe('a worker that was late', () => {
  it('is assigned shards again: the run goes on with it alone when the other one dies', async () => {
    const fixture = await createRunFixture({ epochs: 40 });
    const [first, second] = [fixture.join({ name: 'first' }), fixture.join({ name: 'second' })];
    await fixture.until(() => fixture.run.state.current.step > 6);
    first.freeze(2_000);
    await fixture.until(() => fixture.run.state.faults.duplicated > 0);
    const { step } = fixture.run.state.current;
    await fixture.until(() => fixture.run.state.current.step > step + 2);
    second.kill();
    await fixture.finish();
  });

  it('is assigned shards again, although other workers have completed those in its queue', async () => {
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

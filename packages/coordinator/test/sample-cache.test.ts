import { type ByteCache, createShardSource } from '@lockstep/compute';
import { enclosed } from '@lockstep/protocol';
import { decodeBatch, formatOf, planRun, type RunPlan } from '@lockstep/rules';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleFields, targetFields, textFormat } from '../../sim/src/problem.ts';
import { tinyDataset } from '../../sim/test/support.ts';
import { type ArrivedBatch, type LabeledShard, SampleCache } from '../../worker/src/answers.ts';
import { TaskSender } from '../src/connections.ts';

const shapes = fc.record({
  samples: fc.integer({ min: 1, max: 80 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
});

/** The connection that gets a microbatch, and whether it breaks first. */
const assignments = fc.array(
  fc.record({
    connection: fc.nat(2),
    step: fc.nat(),
    microbatch: fc.nat(),
    breaks: fc.nat(9).map((roll) => roll === 0),
  }),
  { minLength: 1, maxLength: 60 },
);

/** Encodes sample numbers as in a task; the samples from `enclosedFrom` on are marked as enclosed. */
const sampleNumbers = (numbers: readonly number[], enclosedFrom = numbers.length): Uint8Array =>
  new Uint8Array(Uint32Array.from(numbers, (number, at) => number + (at >= enclosedFrom ? enclosed : 0)).buffer);

/** Creates a compute's byte cache, with a function that resolves its samples to their bytes. */
function createBytes() {
  const rows: Uint8Array[] = [];
  const createByteCache = (): ByteCache => ({
    write: (number, sample) => {
      rows[number] = sample.slice();
    },
  });
  const resolve = ({ samples, targets }: LabeledShard) => ({
    targets,
    samples:
      samples instanceof Uint32Array ? Uint8Array.from([...samples].flatMap((number) => [...rows[number]!])) : samples,
  });
  return { createByteCache, resolve };
}

/** Creates a batch of `count` samples of `size` bytes in which `numbers` names some. */
const arrived = (numbers: Uint8Array, count: number, size = 4): ArrivedBatch => ({
  numbers,
  count,
  samples: new Uint8Array(count * size),
  targets: new Uint16Array(count),
});

describe.each([
  { owner: 'itself', inCompute: false, sampleField: sampleFields.u8, targetField: targetFields.u16 },
  { owner: 'the compute', inCompute: true, sampleField: sampleFields.u8, targetField: targetFields.u16 },
  { owner: 'itself, being floats,', inCompute: true, sampleField: sampleFields.f32, targetField: targetFields.u16 },
  { owner: 'the compute', inCompute: true, sampleField: sampleFields.u8, targetField: targetFields.f32 },
  { owner: 'itself, being floats,', inCompute: true, sampleField: sampleFields.f32, targetField: targetFields.f32 },
  { owner: 'itself, being tokens,', inCompute: true, ...textFormat },
] as const)('a sample cache whose samples belong to $owner with $targetField.role', ({ inCompute, ...format }) => {
  const open = (count: number, maxBytes: number) => {
    const { createByteCache, resolve } = createBytes();
    const cache = new SampleCache({ count, maxBytes, ...(inCompute ? { createByteCache } : {}) });
    return (batch: ArrivedBatch) => resolve(cache.samplesOf(batch));
  };
  const sourceOf = (samples: number, plan: RunPlan, seed: number) => {
    const dataset = tinyDataset(samples, format);
    const source = createShardSource(dataset, plan, seed);
    const sender = new TaskSender(source, plan);
    const receive = (task: ReturnType<TaskSender['messageFor']>) => ({
      ...decodeBatch(formatOf(dataset), task),
      numbers: task.numbers,
    });
    const expected = (step: number, lo: number, n: number) => {
      const { samples: values, targets } = source.shard(step, lo, n);
      return { samples: values, targets };
    };
    return { sender, receive, expected };
  };

  it('returns the samples of every shard, after any others, and each is sent once over a connection', () => {
    fc.assert(
      fc.property(shapes, assignments, (shape, given) => {
        const plan = planRun({ ...shape, epochs: 4 });
        const { sender, receive, expected } = sourceOf(shape.samples, plan, 3);
        const connect = () => ({ samplesOf: open(plan.samples, Number.MAX_SAFE_INTEGER), received: 0 });
        const workers = [connect(), connect(), connect()];
        for (const { connection, step: anyStep, microbatch, breaks } of given) {
          if (breaks) {
            sender.forget(connection);
            workers[connection] = connect();
          }
          const worker = workers[connection]!;
          const step = anyStep % plan.steps;
          const shard = { lo: microbatch % plan.microbatches, n: 1 };
          const task = sender.messageFor(connection, step, shard, true);
          worker.received += task.count;
          expect(worker.samplesOf(receive(task))).toEqual(expected(step, shard.lo, shard.n));
          expect(worker.received).toBeLessThanOrEqual(plan.samples);
        }
      }),
    );
  });

  it('gets no sample again once all have arrived', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 3 });
    const { sender } = sourceOf(20, plan, 1);
    const shard = { lo: 0, n: plan.microbatches };
    const sent = Array.from({ length: plan.steps }, (_, step) => sender.messageFor(1, step, shard, true).count);
    expect(sent).toEqual([10, 10, 0, 0, 0, 0]);
  });

  it('passes on the samples of a task that has all of them', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 2 });
    const { sender, receive, expected } = sourceOf(20, plan, 1);
    for (let step = 0; step < plan.steps; step++) {
      const task = sender.messageFor(1, step, { lo: 0, n: plan.microbatches }, false);
      expect(task.numbers).toBeUndefined();
      expect(open(0, 0)(receive(task))).toEqual(expected(step, 0, plan.microbatches));
    }
  });
});

describe.each([false, true])('a sample cache whose samples belong to the compute: %s', (inCompute) => {
  const open = (count: number, maxBytes: number) => {
    const cache = new SampleCache({
      count,
      maxBytes,
      ...(inCompute ? { createByteCache: createBytes().createByteCache } : {}),
    });
    return (batch: ArrivedBatch) => cache.samplesOf(batch);
  };

  const one = (number: number, enclosedFrom: number, count: number): ArrivedBatch =>
    arrived(sampleNumbers([number], enclosedFrom), count);
  it.each<[what: string, ArrivedBatch, message: string]>([
    ['has not arrived', arrived(sampleNumbers([1, 2], 1), 1), 'samples that have arrived, got sample 1'],
    ['is not in the training set', one(9, 0, 1), 'samples below 6, got 9'],
    ['has more targets', { ...one(3, 0, 1), targets: new Uint16Array(2) }, '1 targets per sample, got 2'],
    ['is one too many', arrived(sampleNumbers([0, 0, 0, 0, 0, 0, 0]), 0), 'at most 6 samples, got 7'],
  ])('refuses a task where a sample %s', (_, batch, message) => {
    const samplesOf = open(6, 36);
    samplesOf(one(0, 0, 1));
    expect(() => samplesOf(batch)).toThrow(`task: expected ${message}`);
  });

  it.each([6, 2 ** 31 - 1])('allocates no memory for %i samples that do not fit into its bytes', (count) => {
    const message = `task: expected ${count} samples that fit into 41 bytes, got some of 7 bytes`;
    expect(() => open(count, 41)(arrived(sampleNumbers([0], 0), 1, 5))).toThrow(message);
  });

  it('asks the compute for memory by the size of the samples that arrived', () => {
    const asked: (readonly [number, number])[] = [];
    const createByteCache = (count: number, size: number): ByteCache => {
      asked.push([count, size]);
      throw new Error('the model has larger ones');
    };
    const cache = new SampleCache({ count: 24, maxBytes: 72, createByteCache });
    expect(() => cache.samplesOf(arrived(sampleNumbers([0], 0), 1, 1))).toThrow('the model has larger ones');
    expect(asked).toEqual([[24, 1]]);
  });
});

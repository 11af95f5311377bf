import { enclosed } from '@lockstep/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TaskSender } from '../src/coordinator/task-sender.ts';
import { planRun } from '../src/plan.ts';
import { createShardSource } from '../src/shard-source.ts';
import type { PixelCache } from '../src/worker/compute.ts';
import { SampleCache, type ShardSamples } from '../src/worker/sample-cache.ts';
import { tinyDataset } from './support.ts';

const shapes = fc.record({
  samples: fc.integer({ min: 1, max: 80 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
});

/** The connection that gets a microbatch, and whether it breaks before. */
const assignments = fc.array(
  fc.record({
    connection: fc.nat(2),
    step: fc.nat(),
    microbatch: fc.nat(),
    breaks: fc.nat(9).map((roll) => roll === 0),
  }),
  { minLength: 1, maxLength: 60 },
);

/** Sample numbers as in a task; those from `enclosedFrom` on are in the message. */
const sampleNumbers = (numbers: readonly number[], enclosedFrom = numbers.length): Uint8Array =>
  new Uint8Array(Uint32Array.from(numbers, (number, at) => number + (at >= enclosedFrom ? enclosed : 0)).buffer);

/** A compute's pixel cache, and the pixels of its samples. */
function createPixels() {
  const rows: Uint8Array[] = [];
  const createPixelCache = (): PixelCache => ({
    write: (number, pixels) => {
      rows[number] = pixels.slice();
    },
  });
  const resolve = ({ pixels, labels }: ShardSamples) => ({
    labels,
    pixels:
      pixels instanceof Uint8Array ? pixels : Uint8Array.from([...pixels].flatMap((number) => [...rows[number]!])),
  });
  return { createPixelCache, resolve };
}

describe.each([
  { owner: 'itself', inCompute: false },
  { owner: 'the compute', inCompute: true },
])('a sample cache whose pixels belong to $owner', ({ inCompute }) => {
  const open = (count: number, maxBytes: number) => {
    const { createPixelCache, resolve } = createPixels();
    const cache = new SampleCache({ count, maxBytes, ...(inCompute ? { createPixelCache } : {}) });
    return (task: Parameters<SampleCache['samplesOf']>[0]) => resolve(cache.samplesOf(task));
  };

  it('returns the samples of every shard, after any others, and each is sent once over a connection', () => {
    fc.assert(
      fc.property(shapes, assignments, (shape, given) => {
        const plan = planRun({ ...shape, epochs: 4 });
        const source = createShardSource(tinyDataset(shape.samples), plan, 3);
        const sender = new TaskSender(source, plan);
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
          worker.received += task.labels.length;
          expect(worker.samplesOf(task)).toEqual(source.shard(step, shard.lo, shard.n));
          expect(worker.received).toBeLessThanOrEqual(plan.samples);
        }
      }),
    );
  });

  it('gets no sample again once all have arrived', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 3 });
    const sender = new TaskSender(createShardSource(tinyDataset(20), plan, 1), plan);
    const shard = { lo: 0, n: plan.microbatches };
    const sent = Array.from({ length: plan.steps }, (_, step) => sender.messageFor(1, step, shard, true).labels.length);
    expect(sent).toEqual([10, 10, 0, 0, 0, 0]);
  });

  it('passes on the samples of a task that has all of them', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 2 });
    const source = createShardSource(tinyDataset(20), plan, 1);
    const sender = new TaskSender(source, plan);
    for (let step = 0; step < plan.steps; step++) {
      const task = sender.messageFor(1, step, { lo: 0, n: plan.microbatches }, false);
      expect(task.samples).toBeUndefined();
      expect(open(0, 0)(task)).toEqual(source.shard(step, 0, plan.microbatches));
    }
  });

  const faults: readonly (readonly [string, Parameters<SampleCache['samplesOf']>[0], string])[] = [
    [
      'has not arrived',
      { samples: sampleNumbers([1, 2], 1), pixels: new Uint8Array(4), labels: new Uint8Array(1) },
      'task: expected samples that have arrived, got sample 1',
    ],
    [
      'is not in the training set',
      { samples: sampleNumbers([9], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) },
      'task: expected samples below 6, got 9',
    ],
    [
      'is larger than the others',
      { samples: sampleNumbers([3], 0), pixels: new Uint8Array(8), labels: new Uint8Array(1) },
      'task: expected 4 pixels a sample, got 8',
    ],
    [
      'is one of more than the training set has',
      { samples: sampleNumbers([0, 0, 0, 0, 0, 0, 0]), pixels: new Uint8Array(0), labels: new Uint8Array(0) },
      'task: expected at most 6 samples, got 7',
    ],
  ];
  it.each(faults)('refuses a task where a sample %s', (_, task, message) => {
    const samplesOf = open(6, 24);
    samplesOf({ samples: sampleNumbers([0], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) });
    expect(() => samplesOf(task)).toThrow(message);
  });

  const tooLarge = [
    { where: 'all of them take more than its bytes', size: 5 },
    { where: 'they are empty', size: 0 },
  ];
  it.each(tooLarge)('refuses samples where $where', ({ size }) => {
    const samplesOf = open(6, 24);
    const task = { samples: sampleNumbers([0], 0), pixels: new Uint8Array(size), labels: new Uint8Array(1) };
    const message = `task: expected 6 samples of at least one byte that fit into 24 bytes, got some of ${size}`;
    expect(() => samplesOf(task)).toThrow(message);
  });

  it('asks the compute for memory by the size of the samples that arrived', () => {
    const asked: (readonly [number, number])[] = [];
    const createPixelCache = (count: number, size: number): PixelCache => {
      asked.push([count, size]);
      throw new Error('the model has larger ones');
    };
    const cache = new SampleCache({ count: 24, maxBytes: 24, createPixelCache });
    const message = { samples: sampleNumbers([0], 0), pixels: new Uint8Array(1), labels: new Uint8Array(1) };
    expect(() => cache.samplesOf(message)).toThrow('the model has larger ones');
    expect(asked).toEqual([[24, 1]]);
  });

  it('allocates no memory for a count that does not fit into its bytes', () => {
    const samplesOf = open(2 ** 31 - 1, 24);
    const message = { samples: sampleNumbers([0], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) };
    expect(() => samplesOf(message)).toThrow('that fit into 24 bytes, got some of 4');
  });
});

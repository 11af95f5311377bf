import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TaskSender } from '../src/coordinator/task-sender.ts';
import { planRun } from '../src/plan.ts';
import { createShardSource } from '../src/shard-source.ts';
import type { PixelTable } from '../src/worker/compute.ts';
import { createHeldSamples, type ShardSamples } from '../src/worker/sample-cache.ts';
import { tinyDataset } from './support.ts';

const coordinator = fc.record({
  samples: fc.integer({ min: 1, max: 80 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
});

/** Which connection is given which microbatch, and whether it breaks before. */
const gifts = fc.array(
  fc.record({
    connection: fc.nat(2),
    step: fc.nat(),
    microbatch: fc.nat(),
    breaks: fc.nat(9).map((roll) => roll === 0),
  }),
  { minLength: 1, maxLength: 60 },
);

const named = (numbers: readonly number[], enclosedFrom = numbers.length): Uint8Array =>
  new Uint8Array(Uint32Array.from(numbers, (number, at) => number + (at >= enclosedFrom ? 2 ** 31 : 0)).buffer);

/** A compute's table, and what its numbers stand for. */
function tableOf() {
  const rows: Uint8Array[] = [];
  const keepPixels = (): PixelTable => ({
    write: (number, pixels) => {
      rows[number] = pixels.slice();
    },
    read: (number) => rows[number]!,
  });
  const bytesOf = ({ pixels, labels }: ShardSamples) => ({
    labels,
    pixels:
      pixels instanceof Uint8Array
        ? pixels
        : Uint8Array.from([...pixels.numbers].flatMap((number) => [...rows[number]!])),
  });
  return { keepPixels, bytesOf };
}

describe.each([
  { where: 'keeps', inTable: false },
  { where: 'has kept where it computes', inTable: true },
])('samples that a worker $where', ({ inTable }) => {
  const open = (count: number, keepBytes: number) => {
    const { keepPixels, bytesOf } = tableOf();
    const take = createHeldSamples({ count, keepBytes, ...(inTable ? { keepPixels } : {}) });
    return (message: Parameters<typeof take>[0]) => bytesOf(take(message));
  };

  it('are those of the shard, whatever came before and over which connection, and travel at most once over each', () => {
    fc.assert(
      fc.property(coordinator, gifts, (shape, given) => {
        const plan = planRun({ ...shape, epochs: 4 });
        const source = createShardSource(tinyDataset(shape.samples), plan, 3);
        const post = new TaskSender(source, plan);
        const workers = [0, 1, 2].map(() => ({
          take: open(plan.samples, Number.MAX_SAFE_INTEGER),
          received: 0,
        }));
        for (const { connection, step: anyStep, microbatch, breaks } of given) {
          if (breaks) {
            post.forget(connection);
            workers[connection] = { take: open(plan.samples, Number.MAX_SAFE_INTEGER), received: 0 };
          }
          const worker = workers[connection]!;
          const step = anyStep % plan.steps;
          const shard = { lo: microbatch % plan.microbatches, n: 1 };
          const message = post.messageFor(connection, step, shard, true);
          worker.received += message.labels.length;
          expect(worker.take(message)).toEqual(source.shard(step, shard.lo, shard.n));
          expect(worker.received).toBeLessThanOrEqual(plan.samples);
        }
      }),
    );
  });

  it('are named and not sent again once all of them have come', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 3 });
    const post = new TaskSender(createShardSource(tinyDataset(20), plan, 1), plan);
    const shard = { lo: 0, n: plan.microbatches };
    const sent = Array.from({ length: plan.steps }, (_, step) => post.messageFor(1, step, shard, true).labels.length);
    expect(sent).toEqual([10, 10, 0, 0, 0, 0]);
  });

  it('come with every task to a worker that keeps none', () => {
    const plan = planRun({ samples: 20, batch: 10, microbatchSize: 5, epochs: 2 });
    const source = createShardSource(tinyDataset(20), plan, 1);
    const post = new TaskSender(source, plan);
    for (let step = 0; step < plan.steps; step++) {
      const message = post.messageFor(1, step, { lo: 0, n: plan.microbatches }, false);
      expect(message.samples).toBeUndefined();
      expect(open(0, 0)(message)).toEqual(source.shard(step, 0, plan.microbatches));
    }
  });

  const faults: readonly (readonly [string, Parameters<ReturnType<typeof createHeldSamples>>[0], string])[] = [
    [
      'never came',
      { samples: named([1, 2], 1), pixels: new Uint8Array(4), labels: new Uint8Array(1) },
      'task: expected samples that have come, got sample 1',
    ],
    [
      'is none of the set',
      { samples: named([9], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) },
      'task: expected samples below 6, got 9',
    ],
    [
      'is larger than the others',
      { samples: named([3], 0), pixels: new Uint8Array(8), labels: new Uint8Array(1) },
      'task: expected 4 pixels a sample, got 8',
    ],
    [
      'is named more often than there are samples',
      { samples: named([0, 0, 0, 0, 0, 0, 0]), pixels: new Uint8Array(0), labels: new Uint8Array(0) },
      'task: expected at most 6 samples, got 7',
    ],
  ];
  it.each(faults)('are refused where one %s', (_, task, message) => {
    const take = open(6, 24);
    take({ samples: named([0], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) });
    expect(() => take(task)).toThrow(message);
  });

  const tooLarge = [
    { where: 'all of them would take more than there is room for', size: 5 },
    { where: 'they are empty', size: 0 },
  ];
  it.each(tooLarge)('are refused where $where', ({ size }) => {
    const take = open(6, 24);
    const task = { samples: named([0], 0), pixels: new Uint8Array(size), labels: new Uint8Array(1) };
    const message = `task: expected 6 samples of at least one byte that fit into 24 bytes, got some of ${size}`;
    expect(() => take(task)).toThrow(message);
  });

  it('take no more memory where they are computed with than for the size that they came with', () => {
    const asked: (readonly [number, number])[] = [];
    const keepPixels = (count: number, size: number): PixelTable => {
      asked.push([count, size]);
      throw new Error('the model has larger ones');
    };
    const take = createHeldSamples({ count: 24, keepBytes: 24, keepPixels });
    const message = { samples: named([0], 0), pixels: new Uint8Array(1), labels: new Uint8Array(1) };
    expect(() => take(message)).toThrow('the model has larger ones');
    expect(asked).toEqual([[24, 1]]);
  });

  it('take no memory before one of them has come, whatever a coordinator says', () => {
    const take = open(2 ** 31 - 1, 24);
    const message = { samples: named([0], 0), pixels: new Uint8Array(4), labels: new Uint8Array(1) };
    expect(() => take(message)).toThrow('that fit into 24 bytes, got some of 4');
  });
});

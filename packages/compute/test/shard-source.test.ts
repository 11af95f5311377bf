import { classTargets, type Dataset, type SampleValues, samplesOf } from '@lockstep/data';
import { planRun, usedMicrobatches } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { halvesOf } from '../../rules/src/tree.ts';
import { createShardSource } from '../src/inline-compute.ts';
import { randomShards } from './random-shards.ts';

/** Creates distinct samples: the two pixels of sample i are the bytes of i. */
function numbered(count: number): Dataset {
  const samples = Uint8Array.from({ length: count * 2 }, (_, at) => (at % 2 === 0 ? at >> 1 : at >> 9));
  const labels = Uint16Array.from({ length: count }, (_, sample) => sample % 10);
  return { samples: samplesOf(samples, [1, 2, 1]), count, targets: classTargets(labels, [...'0123456789']) };
}

const numbersIn = (pixels: SampleValues): number[] =>
  Array.from({ length: pixels.length / 2 }, (_, at) => pixels[2 * at]! + 256 * pixels[2 * at + 1]!);

const geometry = fc.record({
  samples: fc.integer({ min: 1, max: 400 }),
  batch: fc.integer({ min: 1, max: 120 }),
  microbatchSize: fc.integer({ min: 1, max: 20 }),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});

describe('the samples of shards', () => {
  it('are each sample of the training set once an epoch, with its own label, whatever the shards', () => {
    fc.assert(
      fc.property(geometry, ({ samples, batch, microbatchSize, seed }) => {
        const plan = planRun({ samples, batch, microbatchSize, epochs: 2 });
        const source = createShardSource(numbered(samples), plan, seed);
        const random = randomStream(seed);
        const epochs: number[][] = [[], []];
        for (let step = 0; step < plan.steps; step++) {
          const root = { lo: 0, n: plan.microbatches };
          for (const { lo, n } of randomShards(random, root, usedMicrobatches(plan, step))) {
            const shard = source.shard(step, lo, n);
            const numbers = numbersIn(shard.samples);
            expect([...shard.targets]).toEqual(numbers.map((number) => number % 10));
            expect([...source.numbers(step, lo, n)]).toEqual(numbers);
            expect(source.take(source.numbers(step, lo, n))).toEqual(shard);
            expect(source.targets(step, lo, n)).toEqual(shard.targets);
            epochs[Math.floor(step / plan.stepsPerEpoch)]!.push(...numbers);
          }
        }
        const all = Array.from({ length: samples }, (_, sample) => sample);
        for (const seen of epochs) expect(seen.sort((a, b) => a - b)).toEqual(all);
      }),
    );
  });

  it('are the same at every call, in any order of steps, and for a shard as for its halves', () => {
    fc.assert(
      fc.property(geometry, fc.array(fc.nat(), { minLength: 1, maxLength: 12 }), (given, calls) => {
        const plan = planRun({ ...given, epochs: 5 });
        const source = createShardSource(numbered(given.samples), plan, given.seed);
        for (const call of calls) {
          const step = call % plan.steps;
          const whole = source.shard(step, 0, plan.microbatches);
          const fresh = createShardSource(numbered(given.samples), plan, given.seed).shard(step, 0, plan.microbatches);
          expect(whole).toEqual(fresh);
          if (plan.microbatches === 1) continue;
          const [left, right] = halvesOf({ lo: 0, n: plan.microbatches }).map(({ lo, n }) => source.shard(step, lo, n));
          expect([...left!.samples, ...right!.samples]).toEqual([...whole.samples]);
          expect([...left!.targets, ...right!.targets]).toEqual([...whole.targets]);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('have another order in another epoch, and with another seed', () => {
    const plan = planRun({ samples: 100, batch: 100, microbatchSize: 100, epochs: 2 });
    const orderOf = (seed: number, step: number) =>
      numbersIn(createShardSource(numbered(100), plan, seed).shard(step, 0, 1).samples);
    expect(orderOf(1, 0)).not.toEqual(orderOf(1, 1));
    expect(orderOf(1, 0)).not.toEqual(orderOf(2, 0));
  });

  it('change in each epoch if they are augmented, for a shard as for its halves', () => {
    const plan = planRun({ samples: 32, batch: 32, microbatchSize: 8, epochs: 2 });
    const source = createShardSource(numbered(32), plan, 1, ['shift', 'brightness']);
    const plain = createShardSource(numbered(32), plan, 1);
    for (const step of [0, 1]) {
      const [whole, left, right] = [source.shard(step, 0, 4), source.shard(step, 0, 2), source.shard(step, 2, 2)];
      expect([...left.samples, ...right.samples]).toEqual([...whole.samples]);
      expect(whole.samples).not.toEqual(plain.shard(step, 0, 4).samples);
      expect(whole.targets).toEqual(plain.shard(step, 0, 4).targets);
    }
  });

  it('are none for a shard of empty microbatches', () => {
    const plan = planRun({ samples: 3, batch: 3, microbatchSize: 1, epochs: 1 });
    const { samples, targets, count } = createShardSource(numbered(3), plan, 1).shard(0, 3, 1);
    expect([samples.length, targets.length, count]).toEqual([0, 0, 0]);
  });
});

/** The samples of a relay's asked shard, from which it takes the shards of its own workers. */

import type { NamedShard, ShardSource } from '@lockstep/compute';
import { gatherRows, type SampleBatch } from '@lockstep/data';
import { firstSample, type RunPlan, type Shard, samplesInShard, shardKey } from '@lockstep/rules';

type Batch = Pick<SampleBatch, 'samples' | 'targets'>;

interface Asked extends Batch {
  readonly shard: NamedShard;
  readonly count: number;
  /** Indices of samples in the batch, by their number in the training set; built on first use. */
  places: ReadonlyMap<number, number> | undefined;
}

export class AskedSamples implements ShardSource {
  readonly #plan: RunPlan;
  #asked: Asked | undefined;

  constructor(plan: RunPlan) {
    this.#plan = plan;
  }

  /** Replaces the asked shard and its samples. @returns the number of samples. @throws Error if that number is wrong */
  use(shard: NamedShard, { samples, targets }: Batch): number {
    const count = samplesInShard(this.#plan, shard.step, shard.lo, shard.n);
    const isWhole = count > 0 && samples.length % count === 0 && targets.length % count === 0;
    const got = shard.numbers?.length ?? count;
    if (!isWhole || got !== count) {
      throw new Error(`microbatches ${shardKey(shard)} of step ${shard.step}: expected ${count} samples, got ${got}`);
    }
    this.#asked = { shard, samples, targets, count, places: undefined };
    return count;
  }

  shard(step: number, lo: number, n: number): SampleBatch {
    const { samples, targets, count } = this.#askedWith(step, { lo, n });
    const { from, to } = this.#rangeOf(step, { lo, n });
    const rows = <Values extends SampleBatch['samples'] | SampleBatch['targets']>(values: Values): Values =>
      values.subarray((values.length / count) * from, (values.length / count) * to) as Values;
    return { samples: rows(samples), targets: rows(targets), count: to - from };
  }

  numbers(step: number, lo: number, n: number): Uint32Array {
    const { numbers } = this.#askedWith(step, { lo, n }).shard;
    if (!numbers) throw new Error('expected the numbers of the samples, got none');
    const { from, to } = this.#rangeOf(step, { lo, n });
    return numbers.subarray(from, to);
  }

  targets(step: number, lo: number, n: number): SampleBatch['targets'] {
    return this.shard(step, lo, n).targets;
  }

  take(numbers: Uint32Array): SampleBatch {
    const asked = this.#asked;
    if (!asked) throw new Error('expected an asked shard, got none');
    asked.places ??= new Map(Array.from(asked.shard.numbers ?? [], (number, place) => [number, place]));
    // An unknown number maps to a row past the end, for which `gatherRows` throws.
    const places = numbers.map((number) => asked.places?.get(number) ?? asked.count);
    const rows = <Values extends SampleBatch['samples'] | SampleBatch['targets']>(values: Values): Values =>
      gatherRows(values, values.length / asked.count, places);
    return { samples: rows(asked.samples), targets: rows(asked.targets), count: numbers.length };
  }

  #askedWith(step: number, { lo, n }: Shard): Asked {
    const asked = this.#asked;
    const isPart = asked?.shard.step === step && asked.shard.lo <= lo && lo + n <= asked.shard.lo + asked.shard.n;
    if (!asked || !isPart)
      throw new Error(`microbatches ${lo}+${n} of step ${step}: expected a part of the asked shard`);
    return asked;
  }

  /** Returns the range in the batch of the samples of a part of the asked shard. */
  #rangeOf(step: number, { lo, n }: Shard): { readonly from: number; readonly to: number } {
    const first = firstSample(this.#plan, step, this.#askedWith(step, { lo, n }).shard.lo);
    const from = firstSample(this.#plan, step, lo) - first;
    return { from, to: from + samplesInShard(this.#plan, step, lo, n) };
  }
}

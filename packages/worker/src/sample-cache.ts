/** Caches samples in a worker, so that later tasks can name them instead of enclosing them again. */

import type { ByteCache, ShardSamples } from '@lockstep/compute';
import { gatherRows, type SampleBatch } from '@lockstep/data';
import { enclosed, wordsFrom } from '@lockstep/protocol';

/** The samples of a shard, in its order. */
export interface LabeledShard {
  readonly samples: ShardSamples;
  readonly targets: SampleBatch['targets'];
  readonly count: number;
  /** Numbers in the training set, if the coordinator sends them. */
  readonly numbers?: Uint32Array;
}

export interface SampleCacheOptions {
  /** Samples in the training set. Memory for all is allocated with the first batch, and touched as they arrive. */
  readonly count: number;
  /** Most bytes of samples and targets. */
  readonly maxBytes: number;
  /** Allocates byte samples in the compute's memory; omitted if the compute does not support it. */
  readonly createByteCache?: ((count: number, size: number) => ByteCache) | undefined;
}

/** The samples enclosed in a task and, if the task names samples, the numbers (u32) of all samples of its shard. */
export interface ArrivedBatch extends SampleBatch {
  readonly numbers: Uint8Array | undefined;
}

interface Memory {
  /** Values in a sample; `targetSize` is the number of values in its target. */
  readonly size: number;
  readonly targetSize: number;
  readonly targets: SampleBatch['targets'];
  /** 1 for each sample that has arrived. */
  readonly isPresent: Uint8Array;
  readonly write: (number: number, sample: SampleBatch['samples']) => void;
  readonly samplesOf: (numbers: Uint32Array) => ShardSamples;
}

/** Cache of samples by number. It holds the targets; the compute holds the samples if it has a byte cache. */
export class SampleCache {
  readonly #options: SampleCacheOptions;
  #memory: Memory | undefined;

  constructor(options: SampleCacheOptions) {
    this.#options = options;
  }

  /**
   * Caches the batch of a task and returns the samples of its shard. Call it for every task, in order of arrival.
   * @throws Error if a task names a sample that has not arrived, or encloses more than fit
   */
  samplesOf({ numbers: bytes, ...batch }: ArrivedBatch): LabeledShard {
    if (bytes === undefined) return batch;
    const { count } = this.#options;
    const numbers = wordsFrom(bytes);
    if (numbers.length > count) throw new Error(`task: expected at most ${count} samples, got ${numbers.length}`);
    if (batch.count > 0) this.#insert(numbers, batch);
    if (batch.count < numbers.length) return this.#lookUp(numbers);
    return { ...batch, numbers: numbers.map((number) => number % enclosed) };
  }

  #insert(numbers: Uint32Array, batch: SampleBatch): void {
    const { count } = this.#options;
    this.#memory ??= this.#allocate(batch);
    const { size, targetSize, targets, isPresent, write } = this.#memory;
    const targetsGot = batch.targets.length / batch.count;
    if (targetsGot !== targetSize) throw new Error(`task: expected ${targetSize} targets a sample, got ${targetsGot}`);
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      write(number, batch.samples.subarray(next * size, (next + 1) * size));
      if (targetSize === 1) targets[number] = batch.targets[next]!;
      else targets.set(batch.targets.subarray(next * targetSize, (next + 1) * targetSize), number * targetSize);
      isPresent[number] = 1;
      next += 1;
    }
  }

  /** Looks up cached samples. Clears the mark of enclosed samples in `numbers`, which the result may refer to. */
  #lookUp(numbers: Uint32Array): LabeledShard {
    const memory = this.#memory;
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]! % enclosed;
      if (memory?.isPresent[number] !== 1) {
        throw new Error(`task: expected samples that have arrived, got sample ${number}`);
      }
      numbers[at] = number;
    }
    const { targets, targetSize, samplesOf } = memory!;
    const { length: count } = numbers;
    return { samples: samplesOf(numbers), targets: gatherRows(targets, targetSize, numbers), numbers, count };
  }

  #allocate(batch: SampleBatch): Memory {
    const { count, maxBytes } = this.#options;
    const [size, targetSize] = [batch.samples.length / batch.count, batch.targets.length / batch.count];
    const sampleBytes = (batch.samples.byteLength + batch.targets.byteLength) / batch.count;
    if (count * sampleBytes > maxBytes) {
      const expected = `${count} samples that fit into ${maxBytes} bytes`;
      throw new Error(`task: expected ${expected}, got some of ${sampleBytes} bytes`);
    }
    const length = count * targetSize;
    const targets = batch.targets instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
    return { size, targetSize, targets, isPresent: new Uint8Array(count), ...this.#sampleMemory(batch, size) };
  }

  #sampleMemory({ samples }: SampleBatch, size: number): Pick<Memory, 'write' | 'samplesOf'> {
    const { count, createByteCache } = this.#options;
    if (samples instanceof Uint8Array && createByteCache) {
      const bytes = createByteCache(count, size);
      return { write: (number, sample) => bytes.write(number, sample as Uint8Array), samplesOf: (numbers) => numbers };
    }
    const values = samples instanceof Uint8Array ? new Uint8Array(count * size) : new Float32Array(count * size);
    return {
      write: (number, sample) => values.set(sample, number * size),
      samplesOf: (numbers) => gatherRows(values, size, numbers),
    };
  }
}

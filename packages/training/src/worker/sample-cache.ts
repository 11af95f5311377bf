/** Samples that a worker caches, so that later tasks can name them instead of bringing them again. */
import { gatherPixels } from '@lockstep/data';
import { enclosed, type MessageOf, wordsFrom } from '@lockstep/protocol';
import type { PixelCache, ShardPixels } from './compute.ts';

/** The samples of a shard, in its order. */
export interface ShardSamples {
  readonly pixels: ShardPixels;
  readonly labels: Uint8Array;
}

export interface SampleCacheOptions {
  /** Samples in the training set. Memory for all is allocated with the first, and touched as they arrive. */
  readonly count: number;
  /** Most bytes of pixels. */
  readonly maxBytes: number;
  /** Allocates the pixels where they are computed with; left out where the compute cannot. */
  readonly createPixelCache?: ((count: number, size: number) => PixelCache) | undefined;
}

type SampleTask = Pick<MessageOf<'task'>, 'samples' | 'pixels' | 'labels'>;

interface Memory {
  /** Pixels of a sample. */
  readonly size: number;
  readonly labels: Uint8Array;
  /** 1 for each sample that has arrived. */
  readonly isPresent: Uint8Array;
  readonly pixels: PixelCache;
  readonly pixelsOf: (numbers: Uint32Array) => ShardPixels;
}

/** Labels belong to this cache; pixels belong to the compute where it has a pixel cache, and otherwise to this one. */
export class SampleCache {
  readonly #options: SampleCacheOptions;
  #memory: Memory | undefined;

  constructor(options: SampleCacheOptions) {
    this.#options = options;
  }

  /**
   * Takes every task, in the order of arrival, and returns the samples of its shard.
   * @throws Error where a task names a sample that has not arrived, or brings more than fit
   */
  samplesOf({ samples, pixels, labels }: SampleTask): ShardSamples {
    if (samples === undefined) return { pixels, labels };
    const { count } = this.#options;
    const numbers = wordsFrom(samples);
    if (numbers.length > count) throw new Error(`task: expected at most ${count} samples, got ${numbers.length}`);
    if (labels.length > 0) this.#insert(numbers, pixels, labels);
    return labels.length === numbers.length ? { pixels, labels } : this.#lookUp(numbers);
  }

  #insert(numbers: Uint32Array, pixels: Uint8Array, labels: Uint8Array): void {
    const { count } = this.#options;
    const size = pixels.length / labels.length;
    this.#memory ??= this.#allocate(size);
    const memory = this.#memory;
    if (size !== memory.size) throw new Error(`task: expected ${memory.size} pixels a sample, got ${size}`);
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      memory.pixels.write(number, pixels.subarray(next * size, (next + 1) * size));
      memory.labels[number] = labels[next]!;
      memory.isPresent[number] = 1;
      next += 1;
    }
  }

  /** Clears the mark of enclosed samples in `numbers`, which the result may refer to. */
  #lookUp(numbers: Uint32Array): ShardSamples {
    const memory = this.#memory;
    const labels = new Uint8Array(numbers.length);
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]! % enclosed;
      if (memory?.isPresent[number] !== 1) {
        throw new Error(`task: expected samples that have arrived, got sample ${number}`);
      }
      numbers[at] = number;
      labels[at] = memory.labels[number]!;
    }
    return { pixels: memory!.pixelsOf(numbers), labels };
  }

  #allocate(size: number): Memory {
    const { count, maxBytes, createPixelCache } = this.#options;
    if (size < 1 || count * size > maxBytes) {
      const expected = `${count} samples of at least one byte that fit into ${maxBytes} bytes`;
      throw new Error(`task: expected ${expected}, got some of ${size}`);
    }
    const pixels = createPixelCache?.(count, size);
    const own = { size, labels: new Uint8Array(count), isPresent: new Uint8Array(count) };
    if (pixels) return { ...own, pixels, pixelsOf: (numbers) => numbers };
    const images = new Uint8Array(count * size);
    return {
      ...own,
      pixels: { write: (number, sample) => images.set(sample, number * size) },
      pixelsOf: (numbers) => gatherPixels(images, size, numbers),
    };
  }
}

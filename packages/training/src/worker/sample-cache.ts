/** The samples that a worker keeps, so that a later task can name them instead of bringing them again. */
import { gatherPixels } from '@lockstep/data';
import { enclosed, type MessageOf, wordsFrom } from '@lockstep/protocol';
import type { KeptPixels, PixelTable } from './compute.ts';

type Task = Pick<MessageOf<'task'>, 'samples' | 'pixels' | 'labels'>;

/** The samples of a shard, in its order. */
export interface ShardSamples {
  readonly pixels: Uint8Array | KeptPixels;
  readonly labels: Uint8Array;
}

interface Held {
  /** Pixels of a sample. */
  readonly size: number;
  readonly labels: Uint8Array;
  /** 1 for each that has come. */
  readonly has: Uint8Array;
  readonly put: (number: number, pixels: Uint8Array) => void;
  readonly pixelsOf: (numbers: Uint32Array) => Uint8Array | KeptPixels;
}

export interface HeldSamplesOptions {
  /** Samples in the training set; memory for all of them is taken with the first, and touched as they come. */
  readonly count: number;
  /** For their pixels, at most. */
  readonly keepBytes: number;
  /** Makes room for pixels where they are computed with; they are kept here where left out. */
  readonly keepPixels?: ((count: number, size: number) => PixelTable) | undefined;
}

/**
 * @returns takes every task that arrives, in that order, and gives its samples in the order of the shard. Throws an Error
 * where a task names a sample that never came, or would have more kept than there is room for.
 */
export function createHeldSamples({ count, keepBytes, keepPixels }: HeldSamplesOptions): (task: Task) => ShardSamples {
  let held: Held | undefined;

  const makeRoom = (size: number): Held => {
    if (size < 1 || count * size > keepBytes) {
      const expected = `${count} samples of at least one byte that fit into ${keepBytes} bytes`;
      throw new Error(`task: expected ${expected}, got some of ${size}`);
    }
    const table = keepPixels?.(count, size);
    const [labels, has] = [new Uint8Array(count), new Uint8Array(count)];
    if (table) {
      return { size, labels, has, put: table.write.bind(table), pixelsOf: (numbers) => ({ numbers }) };
    }
    const images = new Uint8Array(count * size);
    return {
      size,
      labels,
      has,
      put: (number, pixels) => images.set(pixels, number * size),
      pixelsOf: (numbers) => gatherPixels(images, size, numbers),
    };
  };

  const keep = (numbers: Uint32Array, pixels: Uint8Array, labels: Uint8Array): void => {
    const size = pixels.length / labels.length;
    held ??= makeRoom(size);
    if (size !== held.size) throw new Error(`task: expected ${held.size} pixels a sample, got ${size}`);
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      held.put(number, pixels.subarray(next * size, (next + 1) * size));
      held.labels[number] = labels[next]!;
      held.has[number] = 1;
      next += 1;
    }
  };

  return ({ samples, pixels, labels }) => {
    if (samples === undefined) return { pixels, labels };
    const numbers = wordsFrom(samples);
    if (numbers.length > count) throw new Error(`task: expected at most ${count} samples, got ${numbers.length}`);
    if (labels.length > 0) keep(numbers, pixels, labels);
    if (labels.length === numbers.length) return { pixels, labels };
    const named = new Uint8Array(numbers.length);
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]! % enclosed;
      if (held?.has[number] !== 1) throw new Error(`task: expected samples that have come, got sample ${number}`);
      numbers[at] = number;
      named[at] = held.labels[number]!;
    }
    return { pixels: held!.pixelsOf(numbers), labels: named };
  };
}

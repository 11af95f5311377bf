/** The samples that a worker keeps, so that a later task can name them instead of bringing them again. */
import { type Dataset, gather } from '@lockstep/data';
import { enclosed, type MessageOf, wordsFrom } from '@lockstep/protocol';

type Samples = Pick<MessageOf<'task'>, 'pixels' | 'labels'>;
type Task = Samples & Pick<MessageOf<'task'>, 'samples'>;

interface Held extends Omit<Dataset, 'classes'> {
  /** 1 for each that has come. */
  readonly has: Uint8Array;
}

/**
 * @param count samples in the training set; memory for all of them is taken with the first, and touched as they come
 * @param keepBytes for their pixels, at most
 * @returns takes every task that arrives, in that order, and gives its samples in the order of the block. Throws an Error
 * where a task names a sample that never came, or would have more kept than there is room for.
 */
export function createHeldSamples(count: number, keepBytes: number): (task: Task) => Samples {
  let held: Held | undefined;

  const makeRoom = (size: number): Held => {
    if (size < 1 || count * size > keepBytes) {
      const expected = `${count} samples of at least one byte that fit into ${keepBytes} bytes`;
      throw new Error(`task: expected ${expected}, got some of ${size}`);
    }
    const [images, labels, has] = [new Uint8Array(count * size), new Uint8Array(count), new Uint8Array(count)];
    return { images, labels, has, count, rows: 1, columns: size };
  };

  const keep = (numbers: Uint32Array, { pixels, labels }: Samples): void => {
    const size = pixels.length / labels.length;
    held ??= makeRoom(size);
    if (size !== held.columns) throw new Error(`task: expected ${held.columns} pixels a sample, got ${size}`);
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      held.images.set(pixels.subarray(next * size, (next + 1) * size), number * size);
      held.labels[number] = labels[next]!;
      held.has[number] = 1;
      next += 1;
    }
  };

  return ({ samples, pixels, labels }) => {
    if (samples === undefined) return { pixels, labels };
    const numbers = wordsFrom(samples);
    if (numbers.length > count) throw new Error(`task: expected at most ${count} samples, got ${numbers.length}`);
    if (labels.length > 0) keep(numbers, { pixels, labels });
    if (labels.length === numbers.length) return { pixels, labels };
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]! % enclosed;
      if (held?.has[number] !== 1) throw new Error(`task: expected samples that have come, got sample ${number}`);
      numbers[at] = number;
    }
    return gather(held!, numbers, 0, numbers.length);
  };
}

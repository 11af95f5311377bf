/** The samples that a worker keeps, so that a later task can name them instead of bringing them again. */
import { enclosed, type MessageOf, wordsFrom } from '@lockstep/protocol';

type Task = Pick<MessageOf<'task'>, 'samples' | 'pixels' | 'labels'>;

/**
 * @param count samples in the training set; memory for all of them is taken, and touched as they come
 * @returns takes every task that arrives, in that order, and gives its samples in the order of the block. Throws an Error
 * where a task names a sample that never came.
 */
export function createHeldSamples(count: number): (task: Task) => Pick<Task, 'pixels' | 'labels'> {
  const isHeld = new Uint8Array(count);
  const heldLabels = new Uint8Array(count);
  let heldPixels = new Uint8Array(0);
  /** Bytes of a sample's pixels; 0 until the first has come. */
  let size = 0;

  const keep = (numbers: Uint32Array, pixels: Uint8Array, labels: Uint8Array): void => {
    if (labels.length === 0) return;
    if (size === 0) {
      size = pixels.length / labels.length;
      heldPixels = new Uint8Array(count * size);
    }
    if (pixels.length !== labels.length * size) {
      throw new Error(`task: expected ${size} pixels a sample, got ${pixels.length / labels.length}`);
    }
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      heldPixels.set(pixels.subarray(next * size, (next + 1) * size), number * size);
      heldLabels[number] = labels[next]!;
      isHeld[number] = 1;
      next += 1;
    }
  };

  return ({ samples, pixels, labels }) => {
    if (samples === undefined) return { pixels, labels };
    const numbers = wordsFrom(samples);
    keep(numbers, pixels, labels);
    if (labels.length === numbers.length) return { pixels, labels };
    const block = { pixels: new Uint8Array(numbers.length * size), labels: new Uint8Array(numbers.length) };
    for (const [index, marked] of numbers.entries()) {
      const number = marked < enclosed ? marked : marked - enclosed;
      if (isHeld[number] !== 1) throw new Error(`task: expected samples that have come, got sample ${number}`);
      block.pixels.set(heldPixels.subarray(number * size, (number + 1) * size), index * size);
      block.labels[index] = heldLabels[number]!;
    }
    return block;
  };
}

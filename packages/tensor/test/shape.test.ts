/** Broadcasting by PyTorch's rules, and sentences for shapes that do not fit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  argmax,
  broadcastTo,
  correct,
  fromArray,
  mean,
  openBackend,
  reshape,
  softmaxCrossEntropy,
  sum,
  transpose,
} from '../src/index.ts';
import { broadcastShapes, broadcastStrides, contiguousStrides, sizeOf } from '../src/shape.ts';

const { backend } = await openBackend('reference');
const zeros = (...shape: number[]): ReturnType<typeof fromArray> =>
  fromArray(backend, new Float32Array(sizeOf(shape)), shape);

describe('broadcasting', () => {
  it('joins a shape with any of its repetitions', () => {
    const shape = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 5 });
    fc.assert(
      fc.property(shape, fc.infiniteStream(fc.boolean()), fc.nat({ max: 5 }), (whole, ones, dropped) => {
        const part = whole.map((length) => (ones.next().value ? 1 : length)).slice(Math.min(dropped, whole.length));
        expect(broadcastShapes('test', [whole, part])).toEqual(whole);
        expect(broadcastShapes('test', [part, whole])).toEqual(whole);
        expect(broadcastStrides(whole, whole).filter((_, axis) => whole[axis] !== 1)).toEqual(
          contiguousStrides(whole).filter((_, axis) => whole[axis] !== 1),
        );
      }),
      { seed: 2 },
    );
  });

  it('works with sizes of 1 on both sides', () => {
    expect(broadcastShapes('test', [[2, 1, 3], [5, 1], []])).toEqual([2, 5, 3]);
  });
});

describe('sentences', () => {
  it.each([
    [
      () => add(zeros(4, 3), zeros(4)),
      'add: [4, 3] and [4] do not broadcast: sizes 3 and 4 differ at axis -1, and neither is 1',
    ],
    [() => add(zeros(0), zeros(2)), 'sizes 0 and 2 differ at axis -1'],
    [() => sum(zeros(2, 3), { axes: [2] }), 'sum: axis 2 does not exist in [2, 3]'],
    [() => mean(zeros(2, 3), { axes: [1, -1] }), 'mean: axes [1, -1] name an axis of [2, 3] twice'],
    [() => reshape(zeros(2, 3), [4]), 'reshape: [2, 3] has 6 values, [4] would have 4'],
    [() => reshape(zeros(2, 3), [-1, 4]), 'reshape: cannot work out -1 in [-1, 4] for [2, 3]'],
    [() => reshape(zeros(2, 3), [-1, -1]), 'reshape: cannot work out -1'],
    [() => reshape(zeros(0), [0, -1]), 'reshape: cannot work out -1'],
    [() => transpose(zeros(3)), 'transpose: expected two axes, got [3]'],
    [() => broadcastTo(zeros(2, 3), [3]), 'broadcastTo: [2, 3] cannot be repeated to [3]'],
    [() => argmax(zeros(2, 0), 1), 'argmax: axis 1 of [2, 0] is empty and has no largest value'],
    [
      () => softmaxCrossEntropy(zeros(2, 3), zeros(3)),
      'expected logits [rows, classes] and labels [rows], got [2, 3] and [3]',
    ],
    [() => correct(zeros(6), zeros(6)), 'correct: expected logits [rows, classes] and labels [rows], got [6] and [6]'],
    [() => fromArray(backend, [1, 2, 3], [2]), 'fromArray: [2] holds 2 values, but 3 were given'],
    [() => fromArray(backend, [], [-1]), 'fromArray: a size must be a whole number of at least 0, got [-1]'],
  ])('%#', (attempt, sentence) => {
    expect(attempt).toThrow(sentence);
  });

  it('works out one open size', () => {
    expect(reshape(zeros(2, 6), [3, -1]).shape).toEqual([3, 4]);
  });
});

/** Broadcasting by PyTorch's rules, and errors for shapes that do not fit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  arange,
  argmax,
  averagePool2d,
  broadcastTo,
  concat,
  conv2d,
  correct,
  cosineSimilarity,
  crossEntropy,
  dot,
  exp,
  fromArray,
  full,
  gather,
  indexSelect,
  logSoftmax,
  matmul,
  max,
  maxPool2d,
  mean,
  min,
  mse,
  mul,
  norm,
  oneHot,
  openBackend,
  pad,
  permute,
  place,
  reshape,
  scatterAdd,
  slice,
  softmax,
  softmaxCrossEntropy,
  stack,
  sum,
  type Tensor,
  transpose,
  uniform,
  valueAndGrad,
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

describe('errors', () => {
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
    [() => transpose(zeros(3)), 'transpose: expected at least two axes, got [3]'],
    [() => permute(zeros(2, 3), [0, 0]), 'permute: the order must name each of the 2 axes of [2, 3] once, got [0, 0]'],
    [() => slice(zeros(2), [{}, {}]), 'slice: 2 ranges were given for [2]'],
    [() => slice(zeros(2), [{ step: 0 }]), 'slice: a range needs whole numbers and a step of at least 1'],
    [() => pad(zeros(2), [[-1, 0]]), 'pad: expected [before, after] of whole numbers of at least 0'],
    [() => concat([]), 'concat: expected at least one tensor, got none'],
    [() => concat([zeros(2, 3), zeros(2, 4)]), 'concat: [2, 3] and [2, 4] differ at an axis other than 0'],
    [() => stack([zeros(2), zeros(3)]), 'stack: all tensors need one shape, got [2] and [3]'],
    [
      () => gather(zeros(2, 3), 1, zeros(3, 1)),
      'gather: indices [3, 1] must have the axes of [2, 3], none longer but axis 1',
    ],
    [() => oneHot(zeros(2), 0), 'oneHot: the number of classes must be a whole number of at least 1, got 0'],
    [() => matmul(zeros(2, 3), zeros(2)), 'matmul: [2, 3] x [2]: inner sizes 3 and 2 differ'],
    [() => matmul(zeros(), zeros(2)), 'matmul: [] x [2]: inner sizes of a scalar and 2 differ'],
    [
      () => matmul(zeros(2, 3, 4), zeros(3, 4, 5)),
      'matmul, batch axes: [2] and [3] do not broadcast: sizes 2 and 3 differ at axis -1, and neither is 1',
    ],
    [() => max(zeros(2, 0)), 'max: axis 1 of [2, 0] is empty and has no largest value'],
    [() => min(zeros(0, 2), { axes: [0] }), 'min: axis 0 of [0, 2] is empty and has no smallest value'],
    [() => softmax(zeros(2), { temperature: 0 }), 'softmax: the temperature must be above 0, got 0'],
    [() => dot(zeros(2), zeros(3)), 'dot: expected two vectors of equal length, got [2] and [3]'],
    [() => mse(zeros(2), zeros(2, 1)), 'mse: predictions and targets must have one shape, got [2] and [2, 1]'],
    [
      () => crossEntropy(zeros(2, 3), zeros(3)),
      'crossEntropy: expected logits [..., classes] with class indices [...] or probabilities [..., classes], got [2, 3] and [3]',
    ],
    [() => broadcastTo(zeros(2, 3), [3]), 'broadcastTo: [2, 3] cannot be repeated to [3]'],
    [() => argmax(zeros(2, 0), 1), 'argmax: axis 1 of [2, 0] is empty and has no largest value'],
    [
      () => softmaxCrossEntropy(zeros(2, 3), zeros(3)),
      'expected logits [rows, classes] and labels [rows], got [2, 3] and [3]',
    ],
    [() => correct(zeros(6), zeros(6)), 'correct: expected logits [rows, classes] and labels [rows], got [6] and [6]'],
    [
      () => scatterAdd(zeros(2, 3), zeros(2), 1, 4),
      "scatterAdd: expected indices of the values' shape [2, 3], or one list [3] for axis 1, got [2]",
    ],
    [() => scatterAdd(zeros(2, 3), zeros(3, 2), -1, 4), 'or one list [3] for axis -1, got [3, 2]'],
    [() => scatterAdd(zeros(2, 3), zeros(1, 3), 1, 4), 'got [1, 3]'],
    [
      () => scatterAdd(zeros(3), zeros(3), 0, -1),
      'scatterAdd: the length must be a whole number of at least 0, got -1',
    ],
    [() => place(zeros(3), [4], [{ start: 1, end: 3 }]), 'place: expected values [2] for the ranges of [4], got [3]'],
    [() => place(zeros(2), [-2], []), 'place: a size must be a whole number of at least 0, got [-2]'],
    [() => fromArray(backend, [1, 2, 3], [2]), 'fromArray: [2] holds 2 values, but 3 were given'],
    [() => fromArray(backend, [], [-1]), 'fromArray: a size must be a whole number of at least 0, got [-1]'],
    [() => full(backend, [2 ** 16, 2 ** 15], 0), 'full: a tensor has at most 1073741824 elements, got [65536, 32768]'],
    [() => uniform(backend, [1e12], 1), 'uniform: a tensor has at most 1073741824 elements, got [1000000000000]'],
    [() => arange(backend, 1e12), 'arange: a tensor has at most 1073741824 elements, got [1000000000000]'],
    [
      () => conv2d(zeros(5, 5, 1), zeros(3, 3, 1, 2)),
      'conv2d: expected images [n, height, width, channels], got [5, 5, 1]',
    ],
    [
      () => conv2d(zeros(1, 5, 5, 1), zeros(9, 2)),
      'conv2d: expected a kernel [height, width, channels, filters], got [9, 2]',
    ],
    [
      () => conv2d(zeros(64, 28, 28, 1), zeros(3, 3, 2, 8)),
      'conv2d: images [64, 28, 28, 1] and kernel [3, 3, 2, 8]: 1 and 2 channels differ',
    ],
    [() => conv2d(zeros(1, 4, 9, 1), zeros(5, 5, 1, 1)), 'conv2d: a window of 5 x 5 does not fit into images of 4 x 9'],
    [
      () => conv2d(zeros(1, 4, 4, 1), zeros(7, 7, 1, 1), { padding: 1 }),
      'a window of 7 x 7 does not fit into images of 4 x 4 with padding 1 x 1',
    ],
    [
      () => conv2d(zeros(1, 4, 4, 1), zeros(2, 2, 1, 1), { stride: [1, 0] }),
      'conv2d: stride must be one whole number of at least 1, or two, got [1, 0]',
    ],
    [() => maxPool2d(zeros(4, 4), 2), 'maxPool2d: expected images [n, height, width, channels], got [4, 4]'],
    [() => maxPool2d(zeros(1, 4, 4, 1), 5), 'maxPool2d: a window of 5 x 5 does not fit into images of 4 x 4'],
    [
      () => averagePool2d(zeros(1, 4, 4, 1), 2, { padding: [2, 0] }),
      'averagePool2d: padding must be at most half of the window, so that no window covers padding alone, got 2 x 0 for 2 x 2',
    ],
    [
      () => maxPool2d(zeros(1, 4, 4, 1), 1.5),
      'maxPool2d: window must be one whole number of at least 1, or two, got [1.5, 1.5]',
    ],
    [() => matmul(zeros(64, 784), zeros(128, 10)), 'matmul: [64, 784] x [128, 10]: inner sizes 784 and 128 differ'],
  ])('%#', (attempt, message) => {
    expect(attempt).toThrow(message);
  });

  it('works out one open size', () => {
    expect(reshape(zeros(2, 6), [3, -1]).shape).toEqual([3, 4]);
  });
});

/** Every function that takes an axis, on tensors with three axes. */
const alongAxis: Readonly<Record<string, (x: Tensor, axis: number) => Tensor>> = {
  sum: (x, axis) => sum(x, { axes: [axis] }),
  mean: (x, axis) => mean(x, { axes: [axis], keepAxes: true }),
  max: (x, axis) => max(x, { axes: [axis] }),
  min: (x, axis) => min(x, { axes: [axis] }),
  argmax,
  norm: (x, axis) => norm(x, { axes: [axis] }),
  softmax: (x, axis) => softmax(x, { axis }),
  logSoftmax: (x, axis) => logSoftmax(x, { axis }),
  cosineSimilarity: (x, axis) => cosineSimilarity(x, exp(x), { axis }),
  concat: (x, axis) => concat([x, x], axis),
  permute: (x, axis) => permute(x, [axis, ...[0, 1, 2].filter((other) => other !== (axis + 3) % 3)]),
  transpose: (x, axis) => transpose(x, axis, 1),
  gather: (x, axis) => gather(x, axis, counted(2, 2, 2)),
  indexSelect: (x, axis) => indexSelect(x, counted(2), axis),
  scatterAdd: (x, axis) => scatterAdd(x, x, axis, 5),
};

/** Returns a tensor of small whole numbers that are valid indices along every axis. */
function counted(...shape: number[]): Tensor {
  return fromArray(
    backend,
    Float32Array.from({ length: sizeOf(shape) }, (_, index) => index % 2),
    shape,
  );
}

describe.each(Object.entries(alongAxis))('the axis of %s', (name, compute) => {
  it('counts from the end if it is negative, in the result and in the gradient', () => {
    const along = (axis: number) => {
      const x = fromArray(backend, backend.view(counted(2, 3, 4).storage), [2, 3, 4]);
      const gradientOf = (leaf: Tensor): Tensor => sum(mul(compute(leaf, axis), 0.5));
      const differentiable = !['argmax', 'scatterAdd'].includes(name);
      const tensors = [compute(x, axis), ...(differentiable ? valueAndGrad(gradientOf, [x]).gradients : [])];
      return tensors.map(({ shape, storage }) => [shape, [...backend.view(storage)]]);
    };
    for (const axis of [0, 1, 2]) expect(along(axis - 3)).toEqual(along(axis));
  });

  it('must exist', () => {
    for (const axis of [3, -4, 0.5, Number.NaN]) {
      expect(() => compute(counted(2, 3, 4), axis)).toThrow(`${name}: axis ${axis} does not exist in [2, 3, 4]`);
    }
  });
});

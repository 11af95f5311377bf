/** Convolution and pooling compared with PyTorch, forward and backward, and errors for shapes that do not fit. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Shape, Tensor } from '../src/index.ts';
import { averagePool2d, conv2d, fromArray, maxPool2d, mul, openBackend, sum, valueAndGrad } from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';

interface Values {
  readonly shape: Shape;
  readonly values: readonly number[];
}

interface Golden {
  readonly images: Values;
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly outputShape: Shape;
  readonly output: readonly number[];
  readonly weights: readonly number[];
  readonly imageGradient: readonly number[];
}

const goldens = JSON.parse(readFileSync(new URL('../goldens/conv.json', import.meta.url), 'utf8')) as {
  readonly convolutions: readonly (Golden & { readonly kernel: Values; readonly kernelGradient: readonly number[] })[];
  readonly pools: readonly (Golden & {
    readonly kind: 'maxPool2d' | 'averagePool2d';
    readonly window: readonly [number, number];
  })[];
};

const { backend } = await openBackend('cpu');

function read(tensor: Tensor): Float32Array {
  return backend.view(tensor.storage).slice();
}

function expectClose(got: Float32Array, expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  expected.forEach((value, index) => {
    expect(Math.abs(got[index]! - value), `value ${index}`).toBeLessThanOrEqual(2e-6 * scale);
  });
}

/** Compares the output and gradients of `body` with PyTorch's, for the same weighted sum of the output. */
function check(
  golden: Golden,
  body: (...operands: Tensor[]) => Tensor,
  operands: readonly Values[],
  gradients: readonly (readonly number[])[],
): void {
  const tensors = operands.map(({ values, shape }) => fromArray(backend, values, shape));
  const output = body(...tensors);
  expect(output.shape).toEqual(golden.outputShape);
  expectClose(read(output), golden.output);
  const weights = fromArray(backend, golden.weights, golden.outputShape);
  const found = valueAndGrad((...leaves) => sum(mul(body(...leaves), weights)), tensors).gradients;
  found.forEach((gradient, index) => {
    expect(gradient.shape).toEqual(operands[index]!.shape);
    expectClose(read(gradient), gradients[index]!);
  });
}

describe('PyTorch', () => {
  it.each(goldens.convolutions)(
    'conv2d of $images.shape and $kernel.shape, stride $stride, padding $padding',
    (golden) => {
      const { images, kernel, stride, padding } = golden;
      check(
        golden,
        (x, w) => conv2d(x!, w!, { stride, padding }),
        [images, kernel],
        [golden.imageGradient, golden.kernelGradient],
      );
    },
  );

  it.each(goldens.pools)('$kind of $images.shape under $window, stride $stride, padding $padding', (golden) => {
    const { kind, images, window, stride, padding } = golden;
    const pool = { maxPool2d, averagePool2d }[kind];
    check(golden, (x) => pool(x!, window, { stride, padding }), [images], [golden.imageGradient]);
  });

  it('strides by the window where none is given', () => {
    const images = fromArray(backend, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 4, 1]);
    expect([...read(maxPool2d(images, 2))]).toEqual([6, 8]);
    expect([...read(averagePool2d(images, [2, 1]))]).toEqual([3, 4, 5, 6]);
  });
});

describe('sentences', () => {
  const zeros = (...shape: number[]): Tensor => fromArray(backend, new Float32Array(sizeOf(shape)), shape);

  it.each([
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
  ])('%#', (attempt, message) => {
    expect(attempt).toThrow(message);
  });
});

/** Pooling: reduces each window to one value per channel. */
import { checkOptions } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import type { PoolCall } from '../backend.ts';
import { computed } from '../evaluate.ts';
import { ShapeError } from '../shape.ts';
import { checkTensor, emptyTensor, type Tensor } from '../tensor.ts';
import { type Pair, type WindowOptions, type Windows, windowOptions, windowsOver } from '../windows.ts';
import { defineOp, type Op } from './define.ts';
import { div } from './elementwise.ts';

/**
 * Largest value under each window, channel by channel:
 * `[n, height, width, channels] -> [n, outputHeight, outputWidth, channels]` with `outputHeight = floor((height + 2
 * padding - windowHeight) / stride) + 1`. The stride is the window's size by default; padding is skipped. The gradient
 * goes to the largest value, and to the first of them in row-major order if several are equal.
 */
export const maxPool2d = poolOp('maxPool2d', 'max');

/** Sum under each window; the output has the shape of maxPool2d's. */
export const sumPool2d = poolOp('sumPool2d', 'sum');

/** Mean under each window, zeros of the padding included; the output has the shape of maxPool2d's. */
export function averagePool2d(images: Tensor, window: Pair, options: WindowOptions = {}): Tensor {
  const { windowHeight, windowWidth } = poolWindows('averagePool2d', images, window, options);
  return div(sumPool2d(images, window, options), windowHeight * windowWidth);
}

function poolOp(name: string, reduction: 'max' | 'sum'): Op<[images: Tensor, window: Pair, options?: WindowOptions]> {
  return defineOp(name, (images: Tensor, window: Pair, options: WindowOptions = {}): OpResult => {
    const windows = poolWindows(name, images, window, options);
    const { backend, shape } = images;
    const pooledShape = [windows.images, windows.outputHeight, windows.outputWidth, windows.channels];
    const argmaxIndices = reduction === 'max' ? emptyTensor(backend, pooledShape) : undefined;
    const indices = () => (argmaxIndices === undefined ? {} : { argmaxIndices: argmaxIndices.storage });
    const pooled = { kind: 'pool', reduction, windows, input: images.storage, ...indices() };
    const output = computed(backend, pooledShape, (output) => ({ ...pooled, output }) as PoolCall);
    const gradient = ({ storage: input }: Tensor): Tensor =>
      computed(backend, shape, (output) => ({ kind: 'unpool', windows, input, ...indices(), output }));
    return { output, operands: [images], gradient: [gradient] };
  });
}

function poolWindows(operation: string, images: Tensor, window: Pair, options: WindowOptions): Windows {
  checkTensor(operation, 'images', images);
  checkOptions(operation, options, windowOptions);
  const windows = windowsOver(operation, images.shape, window, { stride: window, ...options });
  const { windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
    throw new ShapeError(
      `${operation}: padding must be at most half of the window, so that no window covers padding alone, got ${paddingHeight} x ${paddingWidth} for ${windowHeight} x ${windowWidth}`,
    );
  }
  return windows;
}

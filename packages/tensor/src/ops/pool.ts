/** Pooling: one value in place of each window, channel by channel. */
import type { OpResult } from '../autograd.ts';
import { runCall } from '../evaluate.ts';
import { ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { type Pair, type WindowOptions, type Windows, windowsOver } from '../windows.ts';
import { defineOp } from './define.ts';
import { div } from './elementwise.ts';

/**
 * Largest value under each window, channel by channel:
 * `[n, height, width, channels] -> [n, outputHeight, outputWidth, channels]` with `outputHeight = floor((height + 2 padding - windowHeight) / stride) + 1`. The stride is the window's
 * size where left out; padding takes no part. The gradient goes to the first place, in row-major order, of the largest
 * value.
 */
export const maxPool2d = defineOp(
  'maxPool2d',
  (images: Tensor, window: Pair, options: WindowOptions = {}): OpResult => {
    const windows = poolWindows('maxPool2d', images, window, options);
    const output = emptyTensor(images.backend, outputShape(windows));
    const argmaxIndices = emptyTensor(images.backend, output.shape);
    const storages = { input: images.storage, output: output.storage, argmaxIndices: argmaxIndices.storage };
    runCall(images.backend, { kind: 'pool', reduction: 'max', windows, ...storages });
    return { output, operands: [images], gradient: [(g) => unpool(g, windows, argmaxIndices)] };
  },
);

/** Sum under each window, of the shape that maxPool2d has. */
export const sumPool2d = defineOp(
  'sumPool2d',
  (images: Tensor, window: Pair, options: WindowOptions = {}): OpResult => {
    const windows = poolWindows('sumPool2d', images, window, options);
    const output = emptyTensor(images.backend, outputShape(windows));
    const storages = { input: images.storage, output: output.storage };
    runCall(images.backend, { kind: 'pool', reduction: 'sum', windows, ...storages });
    return { output, operands: [images], gradient: [(g) => unpool(g, windows)] };
  },
);

/** Mean under each window, zeros of the padding counted too, of the shape that maxPool2d has. */
export function averagePool2d(images: Tensor, window: Pair, options: WindowOptions = {}): Tensor {
  const { windowHeight, windowWidth } = poolWindows('averagePool2d', images, window, options);
  return div(sumPool2d(images, window, options), windowHeight * windowWidth);
}

function unpool(gradient: Tensor, windows: Windows, argmaxIndices?: Tensor): Tensor {
  const { images, height, width, channels } = windows;
  const output = emptyTensor(gradient.backend, [images, height, width, channels]);
  const storages = { input: gradient.storage, output: output.storage };
  const indices = argmaxIndices === undefined ? {} : { argmaxIndices: argmaxIndices.storage };
  runCall(gradient.backend, { kind: 'unpool', windows, ...storages, ...indices });
  return output;
}

function outputShape({ images, outputHeight, outputWidth, channels }: Windows): number[] {
  return [images, outputHeight, outputWidth, channels];
}

function poolWindows(operation: string, images: Tensor, window: Pair, options: WindowOptions): Windows {
  const windows = windowsOver(operation, images.shape, window, { stride: window, ...options });
  const { windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
    throw new ShapeError(
      `${operation}: padding must be at most half of the window, so that no window covers padding alone, got ${paddingHeight} x ${paddingWidth} for ${windowHeight} x ${windowWidth}`,
    );
  }
  return windows;
}

/** Pooling: one value in place of each window, channel by channel. */
import { runCall } from '../evaluate.ts';
import { ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { type Pair, type WindowOptions, type Windows, windowsOver } from '../windows.ts';
import { defineOperation, type Example } from './define.ts';
import { div } from './elementwise.ts';

interface PoolAttributes extends WindowOptions {
  readonly window: Pair;
}

const examples: readonly Example<PoolAttributes>[] = [
  { shapes: [[2, 4, 6, 3]], attributes: { window: 2 } },
  { shapes: [[1, 5, 7, 4]], attributes: { window: 3, stride: 2, padding: 1 } },
  { shapes: [[2, 5, 5, 9]], attributes: { window: [2, 3], stride: 1 } },
  { shapes: [[1, 6, 4, 1]], attributes: { window: [4, 2], stride: [1, 3], padding: [2, 1] } },
  { shapes: [[2, 5, 6, 2]], attributes: { window: 1, stride: 2 } },
  { shapes: [[1, 1, 1, 1]], attributes: { window: 1 } },
  { shapes: [[0, 4, 4, 3]], attributes: { window: 2 } },
  { shapes: [[2, 4, 4, 0]], attributes: { window: 2 } },
];

export const maxPool2dOperation = defineOperation<PoolAttributes>({
  name: 'maxPool2d',
  forward([operand], attributes) {
    const images = operand as Tensor;
    const windows = poolWindows('maxPool2d', images, attributes);
    const output = emptyTensor(images.backend, outputShape(windows));
    const argmaxIndices = emptyTensor(images.backend, outputShape(windows));
    const storages = { input: images.storage, output: output.storage, argmaxIndices: argmaxIndices.storage };
    runCall(images.backend, { kind: 'pool', reduction: 'max', windows, ...storages });
    return { output, saved: [argmaxIndices] };
  },
  gradient: [
    (gradient, { operands, saved, attributes }) =>
      unpool(gradient, poolWindows('maxPool2d', operands[0] as Tensor, attributes), saved[0]),
  ],
  examples: examples.map((example) => ({ ...example, domains: ['distinct'] })),
});

/** The sum under each window, which averagePool2d divides. */
export const sumPool2dOperation = defineOperation<PoolAttributes>({
  name: 'sumPool2d',
  forward([operand], attributes) {
    const images = operand as Tensor;
    const windows = poolWindows('averagePool2d', images, attributes);
    const output = emptyTensor(images.backend, outputShape(windows));
    const storages = { input: images.storage, output: output.storage };
    runCall(images.backend, { kind: 'pool', reduction: 'sum', windows, ...storages });
    return { output };
  },
  gradient: [
    (gradient, { operands, attributes }) =>
      unpool(gradient, poolWindows('averagePool2d', operands[0] as Tensor, attributes)),
  ],
  examples,
});

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

function poolWindows(operation: string, images: Tensor, { window, stride, padding }: PoolAttributes): Windows {
  const windows = windowsOver(operation, images.shape, window, { stride: stride ?? window, padding: padding ?? 0 });
  const { windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
    throw new ShapeError(
      `${operation}: padding must be at most half of the window, so that no window covers padding alone, got ${paddingHeight} x ${paddingWidth} for ${windowHeight} x ${windowWidth}`,
    );
  }
  return windows;
}

/**
 * Largest value under each window, channel by channel: `[n, height, width, channels] -> [n, outputHeight, outputWidth,
 * channels]` with `outputHeight = floor((height + 2 padding - windowHeight) / stride) + 1`. The stride is the window's size
 * where left out; padding never wins. The gradient goes to the first place that holds the largest value, in row-major order.
 */
export function maxPool2d(images: Tensor, window: Pair, options: WindowOptions = {}): Tensor {
  return maxPool2dOperation.apply([images], { window, ...options });
}

/** Mean under each window, zeros of the padding counted too, of the shape that maxPool2d has. */
export function averagePool2d(images: Tensor, window: Pair, options: WindowOptions = {}): Tensor {
  const attributes = { window, ...options };
  const { windowHeight, windowWidth } = poolWindows('averagePool2d', images, attributes);
  return div(sumPool2dOperation.apply([images], attributes), windowHeight * windowWidth);
}

export const poolOperations = [maxPool2dOperation, sumPool2dOperation] as const;

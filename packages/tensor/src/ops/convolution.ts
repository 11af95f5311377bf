/** Convolution of images. */
import type { ConvolutionCall } from '../backend.ts';
import { commonBackend, runCall } from '../evaluate.ts';
import { formatShape, type Shape, ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { type WindowOptions, type Windows, windowsOver } from '../windows.ts';
import { defineOperation, type Example } from './define.ts';

const examples: readonly Example<WindowOptions>[] = [
  {
    shapes: [
      [2, 5, 6, 3],
      [3, 3, 3, 4],
    ],
    attributes: {},
  },
  {
    shapes: [
      [2, 5, 5, 1],
      [3, 3, 1, 9],
    ],
    attributes: { padding: 1 },
  },
  {
    shapes: [
      [1, 7, 6, 2],
      [3, 2, 2, 5],
    ],
    attributes: { stride: 2, padding: 1 },
  },
  {
    shapes: [
      [3, 4, 9, 4],
      [1, 4, 4, 8],
    ],
    attributes: { stride: [3, 2], padding: [0, 2] },
  },
  {
    shapes: [
      [1, 2, 3, 5],
      [2, 3, 5, 1],
    ],
    attributes: { padding: [3, 4] },
  },
  {
    shapes: [
      [2, 3, 3, 2],
      [1, 1, 2, 3],
    ],
    attributes: { stride: 2 },
  },
  {
    shapes: [
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ],
    attributes: {},
  },
  {
    shapes: [
      [0, 5, 5, 2],
      [3, 3, 2, 4],
    ],
    attributes: { padding: 1 },
  },
  {
    shapes: [
      [2, 3, 3, 0],
      [2, 2, 0, 3],
    ],
    attributes: {},
  },
  {
    shapes: [
      [2, 3, 3, 2],
      [2, 2, 2, 0],
    ],
    attributes: {},
  },
];

export const conv2dOperation = defineOperation<WindowOptions>({
  name: 'conv2d',
  forward(operands, options) {
    const [images, kernel] = operands as [Tensor, Tensor];
    const { windows, filters } = geometry(images, kernel, options);
    const { outputHeight, outputWidth } = windows;
    const call = { result: 'output', windows, filters } as const;
    return { output: convolve(call, images, kernel, [windows.images, outputHeight, outputWidth, filters]) };
  },
  sumsMicrobatches: true,
  gradient: [
    (gradient, { operands, attributes }) => {
      const [images, kernel] = operands as [Tensor, Tensor];
      const call = { result: 'inputGradient', ...geometry(images, kernel, attributes) } as const;
      return convolve(call, gradient, kernel, images.shape);
    },
    (gradient, { operands, attributes }) => {
      const [images, kernel] = operands as [Tensor, Tensor];
      const perMicrobatch = kernel.microbatches === undefined ? {} : { microbatches: kernel.microbatches };
      const call = { result: 'kernelGradient', ...geometry(images, kernel, attributes), ...perMicrobatch } as const;
      return convolve(call, images, gradient, kernel.shape);
    },
  ],
  examples,
});

type Convolution = Pick<ConvolutionCall, 'result' | 'windows' | 'filters' | 'microbatches'>;

function convolve(call: Convolution, left: Tensor, right: Tensor, shape: Shape): Tensor {
  const backend = commonBackend('conv2d', [left, right]);
  const output = emptyTensor(backend, shape);
  const storages = { left: left.storage, right: right.storage, output: output.storage };
  runCall(backend, { kind: 'convolution', ...call, ...storages });
  return output;
}

function geometry(images: Tensor, kernel: Tensor, options: WindowOptions): { windows: Windows; filters: number } {
  if (kernel.shape.length !== 4) {
    throw new ShapeError(
      `conv2d: expected a kernel [height, width, channels, filters], got ${formatShape(kernel.shape)}`,
    );
  }
  const [height, width, channels, filters] = kernel.shape as readonly [number, number, number, number];
  const windows = windowsOver('conv2d', images.shape, [height, width], options);
  if (windows.channels !== channels) {
    throw new ShapeError(
      `conv2d: images ${formatShape(images.shape)} and kernel ${formatShape(kernel.shape)}: ${windows.channels} and ${channels} channels differ`,
    );
  }
  return { windows, filters };
}

/**
 * Cross-correlation of images with a kernel, what the field calls convolution: `[n, height, width, channels],
 * [kh, kw, channels, filters] -> [n, outputHeight, outputWidth, filters]` with
 * `output[n, y, x, f] = sum of images[n, y stride + r - padding, x stride + c - padding, ch] kernel[r, c, ch, f]`
 * over r, c and ch, images being 0 outside, and `outputHeight = floor((height + 2 padding - kh) / stride) + 1`.
 * An image's result has the same bits whatever the other images are.
 */
export function conv2d(images: Tensor, kernel: Tensor, options: WindowOptions = {}): Tensor {
  return conv2dOperation.apply([images, kernel], options);
}

export const convolutionOperations = [conv2dOperation] as const;

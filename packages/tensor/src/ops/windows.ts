/** Ops over windows of an image: convolution and pooling. */
import { checkOptions } from '../arguments.ts';
import { commonBackend, computed, defineOp, named, type Op, type OpResult, summedShape } from '../autograd.ts';
import type { ConvolutionCall, PoolCall } from '../backend.ts';
import {
  formatShape,
  type Pair,
  type Shape,
  ShapeError,
  unexpectedShapes,
  type WindowOptions,
  type Windows,
  windowOptions,
  windowsOver,
} from '../shape.ts';
import { checkTensor, emptyTensor, type Tensor } from '../tensor.ts';
import { div } from './elementwise.ts';

/**
 * Convolution, that is, cross-correlation, of images with a kernel:
 * `[n, height, width, channels], [kh, kw, channels, filters] -> [n, outputHeight, outputWidth, filters]` with
 * `output[n, y, x, f] = sum of images[n, y stride + r - padding, x stride + c - padding, ch] kernel[r, c, ch, f]`
 * over ch and all r and c inside the image, and `outputHeight = floor((height + 2 padding - kh) / stride) + 1`.
 * The bits of an image's result do not depend on the other images.
 */
export const conv2d = defineOp('conv2d', (images: Tensor, kernel: Tensor, options: WindowOptions = {}): OpResult => {
  checkTensor('conv2d', 'images', images);
  checkTensor('conv2d', 'the kernel', kernel);
  checkOptions('conv2d', options, windowOptions);
  if (kernel.shape.length !== 4) {
    throw unexpectedShapes('conv2d: expected a kernel [height, width, channels, filters]', kernel.shape);
  }
  const [height, width, channels, filters] = kernel.shape as readonly [number, number, number, number];
  const windows = windowsOver('conv2d', images.shape, [height, width], options);
  if (windows.channels !== channels) {
    throw new ShapeError(
      `conv2d: images ${formatShape(images.shape)} and kernel ${formatShape(kernel.shape)}: ${windows.channels} and ${channels} channels differ`,
    );
  }
  const outputShape = [windows.images, windows.outputHeight, windows.outputWidth, filters];
  return {
    output: convolve({ result: 'output', windows, filters }, images, kernel, outputShape),
    operands: [images, kernel],
    gradient: [
      (g) => convolve({ result: 'inputGradient', windows, filters }, g, kernel, images.shape),
      (g) => {
        const { perMicrobatch } = kernel;
        const shape = summedShape(kernel.shape, perMicrobatch);
        return convolve({ result: 'kernelGradient', windows, filters, ...perMicrobatch }, images, g, shape);
      },
    ],
    microbatchSums: true,
  };
});

type Convolution = Pick<ConvolutionCall, 'result' | 'windows' | 'filters' | 'microbatches' | 'stacked'>;

function convolve(call: Convolution, left: Tensor, right: Tensor, shape: Shape): Tensor {
  const backend = commonBackend('conv2d', [left, right]);
  const operands = { left: left.storage, right: right.storage };
  return computed(backend, shape, (output) => ({ kind: 'convolution', ...call, ...operands, output }));
}

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
export const averagePool2d = named('averagePool2d', (images: Tensor, window: Pair, options: WindowOptions = {}) => {
  const { windowHeight, windowWidth } = poolWindows('averagePool2d', images, window, options);
  return div(sumPool2d(images, window, options), windowHeight * windowWidth);
});

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

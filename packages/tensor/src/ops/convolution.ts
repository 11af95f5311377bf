/** Convolution of images. */
import { checkOptions } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import type { ConvolutionCall } from '../backend.ts';
import { commonBackend, computed } from '../evaluate.ts';
import { formatShape, type Shape, ShapeError, unexpectedShapes } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { type WindowOptions, windowOptions, windowsOver } from '../windows.ts';
import { defineOp } from './define.ts';

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
        const perMicrobatch = kernel.microbatches === undefined ? {} : { microbatches: kernel.microbatches };
        return convolve({ result: 'kernelGradient', windows, filters, ...perMicrobatch }, images, g, kernel.shape);
      },
    ],
    sumsMicrobatches: true,
  };
});

type Convolution = Pick<ConvolutionCall, 'result' | 'windows' | 'filters' | 'microbatches'>;

function convolve(call: Convolution, left: Tensor, right: Tensor, shape: Shape): Tensor {
  const backend = commonBackend('conv2d', [left, right]);
  const operands = { left: left.storage, right: right.storage };
  return computed(backend, shape, (output) => ({ kind: 'convolution', ...call, ...operands, output }));
}

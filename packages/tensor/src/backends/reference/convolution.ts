/** Convolution and its gradients: windows unfolded to rows, and the product of matrices. */
import type { ConvolutionCall } from '../../backend.ts';
import { imageSize, type Windows, windowCount } from '../../windows.ts';
import type { Placed } from '../operands.ts';
import { finishProduct, matrix, multiply } from './product.ts';
import { forEachPlace } from './windows.ts';

export function convolution(call: Placed<ConvolutionCall, Float32Array>): void {
  const { windows, filters, left, right, output } = call;
  const rows = windowCount(windows);
  const columns = windows.windowHeight * windows.windowWidth * windows.channels;
  switch (call.result) {
    case 'output':
      multiply(
        [rows, columns, filters],
        matrix(unfold(left, windows), rows, columns),
        matrix(right, columns, filters),
        output,
      );
      finishProduct(call);
      return;
    case 'kernelGradient':
      multiply(
        [columns, rows, filters],
        matrix(unfold(left, windows), columns, rows, true),
        matrix(right, rows, filters),
        output,
      );
      return;
    case 'inputGradient':
      inputGradient(call);
      return;
    default:
      call.result satisfies never;
  }
}

/** [images, height, width, channels] -> [images * outputHeight * outputWidth, windowHeight * windowWidth * channels]. */
function unfold(images: Float32Array, windows: Windows): Float32Array {
  const { channels, windowHeight, windowWidth } = windows;
  const places = windowHeight * windowWidth;
  const rows = new Float32Array(windowCount(windows) * places * channels);
  forEachPlace(windows, (window, place, pixel) => {
    rows.set(images.subarray(pixel * channels, (pixel + 1) * channels), (window * places + place) * channels);
  });
  return rows;
}

/** The windows, one for each pixel of the images, over the dilated gradient. */
function windowsOverDilated(windows: Windows, filters: number): Windows {
  return {
    ...windows,
    height: windows.height + windows.windowHeight - 1,
    width: windows.width + windows.windowWidth - 1,
    channels: filters,
    strideHeight: 1,
    strideWidth: 1,
    paddingHeight: 0,
    paddingWidth: 0,
    outputHeight: windows.height,
    outputWidth: windows.width,
  };
}

/** The gradient with as many zeros between its pixels and around them as `ConvolutionCall` says. */
function dilate(gradient: Float32Array, windows: Windows, filters: number): Float32Array {
  const over = windowsOverDilated(windows, filters);
  const dilated = new Float32Array(imageSize(over));
  // Each pixel of the gradient is the single place of a window over the dilated images.
  const places = {
    ...windows,
    height: over.height,
    width: over.width,
    windowHeight: 1,
    windowWidth: 1,
    paddingHeight: windows.paddingHeight - windows.windowHeight + 1,
    paddingWidth: windows.paddingWidth - windows.windowWidth + 1,
  };
  forEachPlace(places, (from, _, to) => {
    dilated.set(gradient.subarray(from * filters, (from + 1) * filters), to * filters);
  });
  return dilated;
}

/** [windowHeight, windowWidth, channels, filters] -> both window axes reversed, [.., .., filters, channels]. */
function flip(kernel: Float32Array, { windowHeight, windowWidth, channels }: Windows, filters: number): Float32Array {
  const places = windowHeight * windowWidth;
  const flipped = new Float32Array(places * channels * filters);
  for (let place = 0; place < places; place++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let filter = 0; filter < filters; filter++) {
        const value = kernel[((places - 1 - place) * channels + channel) * filters + filter]!;
        flipped[(place * filters + filter) * channels + channel] = value;
      }
    }
  }
  return flipped;
}

function inputGradient({ left, right, windows, filters, output }: Placed<ConvolutionCall, Float32Array>): void {
  const { images, height, width, channels, windowHeight, windowWidth } = windows;
  const [pixels, inner] = [images * height * width, windowHeight * windowWidth * filters];
  const unfolded = unfold(dilate(left, windows, filters), windowsOverDilated(windows, filters));
  const flipped = matrix(flip(right, windows, filters), inner, channels);
  multiply([pixels, inner, channels], matrix(unfolded, pixels, inner), flipped, output);
}

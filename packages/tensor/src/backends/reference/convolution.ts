/** Convolution and its gradients: windows unfolded to rows, and the product of matrices. */
import type { ConvolutionCall } from '../../backend.ts';
import { imageSize, type Windows, windowCount } from '../../windows.ts';
import { prepareEpilogue } from './epilogue.ts';
import { valuesOf } from './storage.ts';

const { fround } = Math;

export function prepareConvolution(call: ConvolutionCall): () => void {
  const { windows, filters } = call;
  const left = valuesOf(call.left);
  const right = valuesOf(call.right);
  const output = valuesOf(call.output);
  const rows = windowCount(windows);
  const columns = windows.windowHeight * windows.windowWidth * windows.channels;
  switch (call.result) {
    case 'output': {
      const finish = prepareEpilogue(call.epilogue, output, rows, filters);
      return () => {
        multiply(rows, columns, filters, unfold(left, windows), columns, 1, right, output);
        finish();
      };
    }
    case 'kernelGradient':
      return () => multiply(columns, rows, filters, unfold(left, windows), 1, columns, right, output);
    case 'inputGradient': {
      const spread = spreadWindows(windows, filters);
      const inner = windows.windowHeight * windows.windowWidth * filters;
      const pixels = windows.images * windows.height * windows.width;
      return () => {
        const unfolded = unfold(spreadGradient(left, windows, filters), spread);
        multiply(pixels, inner, windows.channels, unfolded, inner, 1, turn(right, windows, filters), output);
      };
    }
    default:
      return call.result satisfies never;
  }
}

/** `output[m, n] = left[m, k] x right[k, n]`; the left operand has the strides given. */
function multiply(
  m: number,
  k: number,
  n: number,
  left: Float32Array,
  rowStride: number,
  innerStride: number,
  right: Float32Array,
  output: Float32Array,
): void {
  output.fill(0, 0, m * n);
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = left[row * rowStride + inner * innerStride]!;
      for (let column = 0; column < n; column++) {
        output[row * n + column]! += fround(factor * right[inner * n + column]!);
      }
    }
  }
}

/** [images, height, width, channels] -> [images * outputHeight * outputWidth, windowHeight * windowWidth * channels]. */
function unfold(images: Float32Array, windows: Windows): Float32Array {
  const { height, width, channels, windowHeight, windowWidth } = windows;
  const rows = new Float32Array(windowCount(windows) * windowHeight * windowWidth * channels);
  let to = 0;
  for (let image = 0; image < windows.images; image++) {
    for (let outputRow = 0; outputRow < windows.outputHeight; outputRow++) {
      for (let outputColumn = 0; outputColumn < windows.outputWidth; outputColumn++) {
        const top = outputRow * windows.strideHeight - windows.paddingHeight;
        const start = outputColumn * windows.strideWidth - windows.paddingWidth;
        for (let row = top; row < top + windowHeight; row++) {
          for (let column = start; column < start + windowWidth; column++, to += channels) {
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const from = ((image * height + row) * width + column) * channels;
            rows.set(images.subarray(from, from + channels), to);
          }
        }
      }
    }
  }
  return rows;
}

function spreadWindows(windows: Windows, filters: number): Windows {
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

function spreadGradient(gradient: Float32Array, windows: Windows, filters: number): Float32Array {
  const { height, width } = spreadWindows(windows, filters);
  const spread = new Float32Array(imageSize(spreadWindows(windows, filters)));
  let from = 0;
  for (let image = 0; image < windows.images; image++) {
    for (let y = 0; y < windows.outputHeight; y++) {
      for (let x = 0; x < windows.outputWidth; x++, from += filters) {
        const row = y * windows.strideHeight + windows.windowHeight - 1 - windows.paddingHeight;
        const column = x * windows.strideWidth + windows.windowWidth - 1 - windows.paddingWidth;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        spread.set(gradient.subarray(from, from + filters), ((image * height + row) * width + column) * filters);
      }
    }
  }
  return spread;
}

/** [windowHeight, windowWidth, channels, filters] -> both window axes reversed, [.., .., filters, channels]. */
function turn(kernel: Float32Array, { windowHeight, windowWidth, channels }: Windows, filters: number): Float32Array {
  const places = windowHeight * windowWidth;
  const turned = new Float32Array(places * channels * filters);
  for (let place = 0; place < places; place++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let filter = 0; filter < filters; filter++) {
        const value = kernel[((places - 1 - place) * channels + channel) * filters + filter]!;
        turned[(place * filters + filter) * channels + channel] = value;
      }
    }
  }
  return turned;
}

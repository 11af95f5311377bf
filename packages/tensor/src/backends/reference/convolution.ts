/** Convolution and its gradients: plain loops over the places of windows that lie inside images. */
import type { ConvolutionCall } from '../../backend.ts';
import type { Placed } from '../operands.ts';
import { finishProduct } from './product.ts';
import { forEachPlace } from './windows.ts';

const { fround } = Math;

/** Indices of the sum and of its two factors among output, image and kernel. */
const roles = { output: [0, 1, 2], inputGradient: [1, 0, 2], kernelGradient: [2, 1, 0] } as const;

export function convolution(call: Placed<ConvolutionCall, Float32Array>): void {
  const { result, windows, filters, left, right, output } = call;
  const { channels } = windows;
  const [sum, one, other] = roles[result];
  const at = [0, 0, 0] as [number, number, number];
  output.fill(0);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      at[1] = pixel * channels + channel;
      for (let filter = 0; filter < filters; filter++) {
        at[0] = window * filters + filter;
        at[2] = (place * channels + channel) * filters + filter;
        output[at[sum]]! += fround(left[at[one]]! * right[at[other]]!);
      }
    }
  });
  finishProduct(call);
}

/** Pooling over windows, and its gradients. */
import type { PoolCall, UnpoolCall } from '../../backend.ts';
import type { Placed } from '../operands.ts';
import { forEachPlace } from './windows.ts';

const { fround } = Math;

export function pool(call: Placed<PoolCall, Float32Array>): void {
  const { windows, input, output } = call;
  const { channels } = windows;
  const argmaxIndices = call.reduction === 'max' ? call.argmaxIndices : undefined;
  if (argmaxIndices === undefined) output.fill(0);
  else argmaxIndices.fill(-1);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      const at = window * channels + channel;
      const [best, value] = [output[at]!, input[pixel * channels + channel]!];
      if (argmaxIndices === undefined) output[at] = fround(best + value);
      else if (argmaxIndices[at] === -1 || (!Number.isNaN(best) && (value > best || Number.isNaN(value)))) {
        [output[at], argmaxIndices[at]] = [value, place];
      }
    }
  });
}

export function unpool({ windows, input, argmaxIndices, output }: Placed<UnpoolCall, Float32Array>): void {
  const { channels } = windows;
  output.fill(0);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      const [from, to] = [window * channels + channel, pixel * channels + channel];
      if (argmaxIndices !== undefined && argmaxIndices[from] !== place) continue;
      output[to] = fround(output[to]! + input[from]!);
    }
  });
}

/** Pooling and its gradients: values under a window combined, and given back to the pixels. */
import type { HostBackend, PoolCall, UnpoolCall } from '../../backend.ts';
import { imageSize, windowCount } from '../../windows.ts';
import { forEachPlace } from './windows.ts';

const { fround } = Math;

export function preparePool(call: PoolCall, valuesOf: HostBackend['view']): () => void {
  const { windows } = call;
  const { channels } = windows;
  const input = valuesOf(call.input);
  const output = valuesOf(call.output);
  const size = windowCount(windows) * channels;
  if (call.reduction === 'sum') {
    return () => {
      output.fill(0, 0, size);
      forEachPlace(windows, (window, _, pixel) => {
        for (let channel = 0; channel < channels; channel++) {
          const at = window * channels + channel;
          output[at] = fround(output[at]! + input[pixel * channels + channel]!);
        }
      });
    };
  }
  const argmaxIndices = valuesOf(call.argmaxIndices);
  return () => {
    argmaxIndices.fill(-1, 0, size);
    forEachPlace(windows, (window, place, pixel) => {
      for (let channel = 0; channel < channels; channel++) {
        const at = window * channels + channel;
        const [best, value] = [output[at]!, input[pixel * channels + channel]!];
        const better = argmaxIndices[at] === -1 || (!Number.isNaN(best) && (value > best || Number.isNaN(value)));
        if (better) [output[at], argmaxIndices[at]] = [value, place];
      }
    });
  };
}

export function prepareUnpool({ windows, ...call }: UnpoolCall, valuesOf: HostBackend['view']): () => void {
  const { channels } = windows;
  const input = valuesOf(call.input);
  const argmaxIndices = call.argmaxIndices && valuesOf(call.argmaxIndices);
  const output = valuesOf(call.output);
  return () => {
    output.fill(0, 0, imageSize(windows));
    forEachPlace(windows, (window, place, pixel) => {
      for (let channel = 0; channel < channels; channel++) {
        const [from, to] = [window * channels + channel, pixel * channels + channel];
        if (argmaxIndices !== undefined && argmaxIndices[from] !== place) continue;
        output[to] = fround(output[to]! + input[from]!);
      }
    });
  };
}

/** Pooling and its gradients: values under a window combined, and given back to the pixels. */
import type { PoolCall, UnpoolCall } from '../../backend.ts';
import type { Windows } from '../../windows.ts';
import { imageSize } from '../../windows.ts';
import { valuesOf } from './storage.ts';

const { fround } = Math;

/** Visits the places of every window that lie inside its image, for every channel, windows and places in row-major order. */
function forEachPlace(windows: Windows, visit: (output: number, place: number, pixel: number) => void): void {
  const { height, width, channels, windowHeight, windowWidth } = windows;
  let output = 0;
  for (let image = 0; image < windows.images; image++) {
    for (let outputRow = 0; outputRow < windows.outputHeight; outputRow++) {
      for (let outputColumn = 0; outputColumn < windows.outputWidth; outputColumn++) {
        const top = outputRow * windows.strideHeight - windows.paddingHeight;
        const start = outputColumn * windows.strideWidth - windows.paddingWidth;
        for (let channel = 0; channel < channels; channel++, output++) {
          for (let place = 0; place < windowHeight * windowWidth; place++) {
            const row = top + Math.floor(place / windowWidth);
            const column = start + (place % windowWidth);
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            visit(output, place, ((image * height + row) * width + column) * channels + channel);
          }
        }
      }
    }
  }
}

export function preparePool(call: PoolCall): () => void {
  const { windows } = call;
  const input = valuesOf(call.input);
  const output = valuesOf(call.output);
  const size = windows.images * windows.outputHeight * windows.outputWidth * windows.channels;
  if (call.reduction === 'sum') {
    return () => {
      output.fill(0, 0, size);
      forEachPlace(windows, (at, _, pixel) => {
        output[at] = fround(output[at]! + input[pixel]!);
      });
    };
  }
  const argmaxIndices = valuesOf(call.argmaxIndices);
  return () => {
    argmaxIndices.fill(-1, 0, size);
    forEachPlace(windows, (at, place, pixel) => {
      const [best, value] = [output[at]!, input[pixel]!];
      const wins = argmaxIndices[at] === -1 || (!Number.isNaN(best) && (value > best || Number.isNaN(value)));
      if (wins) [output[at], argmaxIndices[at]] = [value, place];
    });
  };
}

export function prepareUnpool({ windows, ...storages }: UnpoolCall): () => void {
  const input = valuesOf(storages.input);
  const argmaxIndices = storages.argmaxIndices && valuesOf(storages.argmaxIndices);
  const output = valuesOf(storages.output);
  return () => {
    output.fill(0, 0, imageSize(windows));
    forEachPlace(windows, (at, place, pixel) => {
      if (argmaxIndices === undefined || argmaxIndices[at] === place)
        output[pixel] = fround(output[pixel]! + input[at]!);
    });
  };
}

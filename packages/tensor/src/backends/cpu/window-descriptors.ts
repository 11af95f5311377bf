/** Writes the descriptors of the convolution and pooling kernels. */
import type { ConvolutionCall, PoolCall, UnpoolCall } from '../../backend.ts';
import type { Windows } from '../../windows.ts';
import type { Placed } from '../operands.ts';
import type { Descriptor } from './descriptor.ts';

const bytesPerValue = 4;
/** Columns of one packed panel of a right operand, as in kernels/sizes.ts. */
const panelColumns = 8;
/** Four pointers and one finished edge tile, as in kernels/convolution.ts. */
const scratchBytes = 16 + 4 * panelColumns * bytesPerValue;
/** Kernels read right operands and biases in whole panels. */
const readBeyondBytes = panelColumns * bytesPerValue;

/** Codes of `result`, as in kernels/windows.ts. */
const resultCodes = { output: 0, inputGradient: 1, kernelGradient: 2 } as const;

export function convolutionDescriptor(call: Placed<ConvolutionCall, number>): Descriptor {
  const { result, windows, filters, left, right, output, bias = 0 } = call;
  const words = 22;
  const packed = aligned(words * bytesPerValue);
  const frame = aligned(packed + packedValues(result, windows, filters) * bytesPerValue);
  const frameLength = frameValues(result, windows, filters) * bytesPerValue;
  const scratch = aligned(frame + frameLength);
  return {
    bytes: scratch + scratchBytes + readBeyondBytes,
    write(buffer, address) {
      new Uint32Array(buffer, address, words).set([
        resultCodes[result],
        ...wordsOf(windows),
        filters,
        left,
        right,
        output,
        address + packed,
        frameLength === 0 ? 0 : address + frame,
        address + scratch,
        bias,
        Number(call.epilogue?.relu ?? false),
      ]);
      new Uint8Array(buffer, address + frame, frameLength).fill(0);
    },
  };
}

export function poolDescriptor(call: Placed<PoolCall | UnpoolCall, number>): Descriptor {
  const indices = ('argmaxIndices' in call && call.argmaxIndices) || 0;
  const words = [...wordsOf(call.windows), call.input, call.output, indices];
  return {
    bytes: words.length * bytesPerValue,
    write: (buffer, address) => new Uint32Array(buffer, address, words.length).set(words),
  };
}

/** Words of the geometry, in the order of the kernels' descriptors. */
function wordsOf(windows: Windows): number[] {
  const { images, height, width, channels, windowHeight, windowWidth, outputHeight, outputWidth } = windows;
  const { strideHeight, strideWidth, paddingHeight, paddingWidth } = windows;
  const steps = [strideHeight, strideWidth, paddingHeight, paddingWidth];
  return [images, height, width, channels, windowHeight, windowWidth, ...steps, outputHeight, outputWidth];
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

type Result = ConvolutionCall['result'];

/** Number of values of the packed right operand. */
function packedValues(result: Result, { windowHeight, windowWidth, channels }: Windows, filters: number): number {
  if (result === 'kernelGradient') return 0;
  const [inner, columns] = result === 'output' ? [channels, filters] : [filters, channels];
  return windowHeight * windowWidth * inner * Math.ceil(columns / panelColumns) * panelColumns;
}

/** Number of values of one padded image; 0 if images can be read in place. */
function frameValues(result: Result, windows: Windows, filters: number): number {
  const { height, width, channels, windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (result === 'inputGradient') return (height + windowHeight - 1) * (width + windowWidth - 1) * filters;
  if (paddingHeight === 0 && paddingWidth === 0) return 0;
  return (height + 2 * paddingHeight) * (width + 2 * paddingWidth) * channels;
}

/** Writes the descriptors that the kernels of convolution and pooling read. */
import type { ConvolutionCall, PoolCall, UnpoolCall } from '../../backend.ts';
import type { Windows } from '../../windows.ts';
import type { ProductAddresses } from './matmul-step.ts';

const bytesPerValue = 4;
/** Columns of one packed panel of a right operand, as in kernels/sizes.ts. */
const panelColumns = 8;
/** Four pointers and a finished tile of an edge, as in kernels/convolution.ts. */
const scratchBytes = 16 + 4 * panelColumns * bytesPerValue;
/** Kernels read whole panels of right operands and biases. */
const readBeyondBytes = panelColumns * bytesPerValue;

/** Values of `result`, as in kernels/convolution.ts. */
const resultCodes = { output: 0, inputGradient: 1, kernelGradient: 2 } as const;

/** A descriptor before it has an address, with the room that its kernel works in behind it. */
export interface WindowDescriptor {
  readonly bytes: number;
  /** Writes it at `address`, which must be a multiple of 16 and have room for `bytes`. */
  write(buffer: ArrayBuffer, address: number): void;
}

export function convolutionDescriptor(call: ConvolutionCall, addresses: ProductAddresses): WindowDescriptor {
  const { result, windows, filters } = call;
  const words = 22;
  const packed = aligned(words * bytesPerValue);
  const frame = aligned(packed + packedValues(call) * bytesPerValue);
  const frameLength = frameValues(call) * bytesPerValue;
  const scratch = aligned(frame + frameLength);
  return {
    bytes: scratch + scratchBytes + readBeyondBytes,
    write(buffer, address) {
      const { left, right, output, bias } = addresses;
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

export function poolDescriptor(
  { windows }: PoolCall | UnpoolCall,
  addresses: { readonly input: number; readonly output: number; readonly argmaxIndices: number },
): WindowDescriptor {
  const { input, output, argmaxIndices } = addresses;
  const words = [...wordsOf(windows), input, output, argmaxIndices];
  return {
    bytes: words.length * bytesPerValue,
    write: (buffer, address) => new Uint32Array(buffer, address, words.length).set(words),
  };
}

function wordsOf(windows: Windows): number[] {
  return [
    windows.images,
    windows.height,
    windows.width,
    windows.channels,
    windows.windowHeight,
    windows.windowWidth,
    windows.strideHeight,
    windows.strideWidth,
    windows.paddingHeight,
    windows.paddingWidth,
    windows.outputHeight,
    windows.outputWidth,
  ];
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

/** The right operand in panels. */
function packedValues({ result, windows, filters }: ConvolutionCall): number {
  const { windowHeight, windowWidth, channels } = windows;
  const panels = (columns: number): number => Math.ceil(columns / panelColumns) * panelColumns;
  switch (result) {
    case 'output':
      return windowHeight * windowWidth * channels * panels(filters);
    case 'inputGradient':
      return windowHeight * windowWidth * filters * panels(channels);
    case 'kernelGradient':
      return 0;
    default:
      return result satisfies never;
  }
}

/** One image with its border; none where images can be read as they are. */
function frameValues({ result, windows, filters }: ConvolutionCall): number {
  const { height, width, channels, windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (result === 'inputGradient') return (height + windowHeight - 1) * (width + windowWidth - 1) * filters;
  if (paddingHeight === 0 && paddingWidth === 0) return 0;
  return (height + 2 * paddingHeight) * (width + 2 * paddingWidth) * channels;
}

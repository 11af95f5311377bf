/** Float32 values rounded to fewer bytes: to half precision, or to 8 bits with a scale for each block. */
import { float16Values, toFloat16 } from './float16.ts';
import { blockLength } from './vector-blocks.ts';

export const lossyEncodings = ['fp16', 'int8'] as const;
export type LossyEncoding = (typeof lossyEncodings)[number];

/** What rounds every node of the reduction tree instead of what a worker sends: nothing is lost on the way then. */
export const nodeRoundings = ['fp16-exact', 'int8-exact'] as const;
export type NodeRoundingName = (typeof nodeRoundings)[number];

export interface LossyFormat {
  /** Bytes that `valueCount` values take. */
  byteLength(valueCount: number): number;
  /** Rounds `values` into `bytes`; false where one is not finite or too large, and `bytes` are then unspecified. */
  write(values: Float32Array, bytes: Uint8Array): boolean;
  /** Reads as many values as `values` holds; `bytes` may lie at any address. */
  read(bytes: Uint8Array, values: Float32Array): void;
}

let halfValues: Float32Array | undefined;

const fp16: LossyFormat = {
  byteLength: (valueCount) => 2 * valueCount,
  write: (values, bytes) => toFloat16(values, new Uint16Array(bytes.buffer, bytes.byteOffset, values.length)),
  read(bytes, values) {
    halfValues ??= float16Values();
    const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
    const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, values.length);
    for (let index = 0; index < values.length; index++) values[index] = halfValues[halves[index]!]!;
  },
};

const int8Levels = 127;
/** The smallest normal float32. Smaller scales have too few bits; their values wait in the residual until they grow. */
const leastScale = 2 ** -126;

const blockCount = (valueCount: number): number => Math.ceil(valueCount / blockLength);

/** A float32 scale for each block, then the levels: `value = level * scale`, with the largest value at level 127. */
const int8: LossyFormat = {
  byteLength: (valueCount) => valueCount + 4 * blockCount(valueCount),
  write(values, bytes) {
    const blocks = blockCount(values.length);
    const scales = new DataView(bytes.buffer, bytes.byteOffset, 4 * blocks);
    const levels = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * blocks, values.length);
    for (let block = 0, from = 0; block < blocks; block++, from += blockLength) {
      const to = Math.min(values.length, from + blockLength);
      let largest = 0;
      // Math.max keeps a NaN, whatever comes after it.
      for (let index = from; index < to; index++) largest = Math.max(largest, Math.abs(values[index]!));
      if (!Number.isFinite(largest)) return false;
      const exact = Math.fround(largest / int8Levels);
      const scale = exact < leastScale ? 0 : exact;
      scales.setFloat32(4 * block, scale, true);
      const factor = scale === 0 ? 0 : 1 / scale;
      // Shifted above 0, where cutting off the fraction of a value half a level higher rounds it to the nearest.
      for (let index = from; index < to; index++) {
        levels[index] = ((values[index]! * factor + (int8Levels + 0.5)) | 0) - int8Levels;
      }
    }
    return true;
  },
  read(bytes, values) {
    const blocks = blockCount(values.length);
    const scales = new DataView(bytes.buffer, bytes.byteOffset, 4 * blocks);
    const levels = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * blocks, values.length);
    for (let block = 0, from = 0; block < blocks; block++, from += blockLength) {
      const scale = scales.getFloat32(4 * block, true);
      const to = Math.min(values.length, from + blockLength);
      for (let index = from; index < to; index++) values[index] = levels[index]! * scale;
    }
  },
};

export const lossyFormats: Readonly<Record<LossyEncoding, LossyFormat>> = { fp16, int8 };

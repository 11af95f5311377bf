/** Shared code of layers over images: samples of [height, width, channels] that a window slides over. */
import { formatShape, type Shape } from '@lockstep/tensor';
import { wholeNumber } from '../check.ts';

/** Size of a window, or of the stride between two windows. */
export const windowSize = wholeNumber(1, 1024);
export const paddingSize = wholeNumber(0, 1023);

export interface Window {
  /** Height and width. */
  readonly size: number;
  readonly stride: number;
  /** Rows and columns added at each of the four sides. */
  readonly padding: number;
}

/** Returns `[height, width, channels]`; throws one sentence if a sample is not an image. */
export function imageShape(shape: Shape): readonly [height: number, width: number, channels: number] {
  if (shape.length === 3) return shape as readonly [number, number, number];
  throw new Error(`expected a sample of [height, width, channels], got ${formatShape(shape)}`);
}

/** Returns the height and width of a window's output: `floor((length + 2 padding - size) / stride) + 1`. */
export function outputSize([height, width]: Shape, { size, stride, padding }: Window): readonly [number, number] {
  const along = (length: number): number => Math.floor((length + 2 * padding - size) / stride) + 1;
  const [rows, columns] = [along(height!), along(width!)];
  if (rows < 1 || columns < 1) {
    throw new Error(
      `expected an image at least as large as the ${size} x ${size} window with padding ${padding}, got ${height} x ${width}`,
    );
  }
  return [rows, columns];
}

/** The geometry of windows in a descriptor, padded images, and pooling. */
import { storeLanes } from './shared';

export const IMAGES: usize = 0;
export const HEIGHT: usize = 4;
export const WIDTH: usize = 8;
export const CHANNELS: usize = 12;
export const WINDOW_HEIGHT: usize = 16;
export const WINDOW_WIDTH: usize = 20;
export const STRIDE_HEIGHT: usize = 24;
export const STRIDE_WIDTH: usize = 28;
export const PADDING_HEIGHT: usize = 32;
export const PADDING_WIDTH: usize = 36;
export const OUTPUT_HEIGHT: usize = 40;
export const OUTPUT_WIDTH: usize = 44;
export const geometryBytes: usize = 48;

/** Kinds of result of a convolution in a descriptor; the third is the kernel gradient. */
export const RESULT_OUTPUT: i32 = 0;
export const RESULT_INPUT_GRADIENT: i32 = 1;

/** Bytes of a row of a padded image. */
export function paddedRowBytes(geometry: usize): usize {
  return <usize>((load<i32>(geometry, WIDTH) + 2 * load<i32>(geometry, PADDING_WIDTH)) * load<i32>(geometry, CHANNELS)) << 2;
}

/** Returns the padded image: `image` itself if `frame` is 0, else a copy in `frame`, whose border stays 0. */
export function padded(geometry: usize, frame: usize, image: usize): usize {
  if (frame == 0) return image;
  const frameBytes = paddedRowBytes(geometry);
  const pixelBytes = <usize>load<i32>(geometry, CHANNELS) << 2;
  const rowBytes = <usize>load<i32>(geometry, WIDTH) * pixelBytes;
  let to = frame + load<i32>(geometry, PADDING_HEIGHT) * frameBytes + load<i32>(geometry, PADDING_WIDTH) * pixelBytes;
  for (let row = load<i32>(geometry, HEIGHT); row > 0; row--, to += frameBytes, image += rowBytes) {
    memory.copy(to, image, rowBytes);
  }
  return frame;
}

// After the geometry the descriptor continues with 32-bit words, written by src/backends/cpu/programs.ts.
const INPUT: usize = geometryBytes;
const OUTPUT: usize = geometryBytes + 4;
/** Address of the argmax indices of max pooling; 0 for sums. */
const ARGMAX_INDICES: usize = geometryBytes + 8;

/**
 * Pools one window over all channels, four at a time; the last four may be read past their end. `corner` is the first
 * place inside the image, number `first` of a window `windowWidth` wide; `rows` x `columns` places lie inside.
 */
function poolWindow(
  corner: usize, rows: i32, columns: i32, first: i32, windowWidth: i32, rowBytes: usize, channels: i32,
  output: usize, argmaxIndices: usize,
): void {
  const pixelBytes = <usize>channels << 2;
  for (let channel = 0; channel < channels; channel += 4) {
    const at = <usize>channel << 2;
    let row = corner + at;
    if (argmaxIndices == 0) {
      let sum = f32x4.splat(0.0);
      for (let y = 0; y < rows; y++, row += rowBytes) {
        let pixel = row;
        for (let x = 0; x < columns; x++, pixel += pixelBytes) sum = f32x4.add(sum, v128.load(pixel));
      }
      storeLanes(output + at, sum, channels - channel);
      continue;
    }
    let best = v128.load(row);
    let argmaxIndex = f32x4.splat(<f32>first);
    for (let y = 0; y < rows; y++, row += rowBytes) {
      let pixel = row;
      for (let x = 0; x < columns; x++, pixel += pixelBytes) {
        const value = v128.load(pixel);
        // Larger, or the first NaN: any value that is not at most `best`, unless `best` is NaN.
        const larger = v128.andnot(f32x4.eq(best, best), f32x4.le(value, best));
        best = v128.bitselect(value, best, larger);
        argmaxIndex = v128.bitselect(f32x4.splat(<f32>(first + y * windowWidth + x)), argmaxIndex, larger);
      }
    }
    storeLanes(output + at, best, channels - channel);
    storeLanes(argmaxIndices + at, argmaxIndex, channels - channel);
  }
}

/** Adds one window's values to all its places inside the image, or each value to its argmax place only. */
function unpoolWindow(
  corner: usize, rows: i32, columns: i32, first: i32, windowWidth: i32, rowBytes: usize, channels: i32,
  input: usize, argmaxIndices: usize,
): void {
  const pixelBytes = <usize>channels << 2;
  for (let channel = 0; channel < channels; channel += 4) {
    const at = <usize>channel << 2;
    const value = v128.load(input + at);
    const argmaxIndex = argmaxIndices == 0 ? value : v128.load(argmaxIndices + at);
    let row = corner + at;
    for (let y = 0; y < rows; y++, row += rowBytes) {
      let pixel = row;
      for (let x = 0; x < columns; x++, pixel += pixelBytes) {
        let share = value;
        if (argmaxIndices != 0) {
          const place = f32x4.splat(<f32>(first + y * windowWidth + x));
          share = v128.and(value, f32x4.eq(argmaxIndex, place));
        }
        storeLanes(pixel, f32x4.add(v128.load(pixel), share), channels - channel);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function overWindows(descriptor: usize, forward: bool): void {
  const images = load<i32>(descriptor, IMAGES);
  const height = load<i32>(descriptor, HEIGHT);
  const width = load<i32>(descriptor, WIDTH);
  const channels = load<i32>(descriptor, CHANNELS);
  const windowHeight = load<i32>(descriptor, WINDOW_HEIGHT);
  const windowWidth = load<i32>(descriptor, WINDOW_WIDTH);
  const strideHeight = load<i32>(descriptor, STRIDE_HEIGHT);
  const strideWidth = load<i32>(descriptor, STRIDE_WIDTH);
  const paddingHeight = load<i32>(descriptor, PADDING_HEIGHT);
  const paddingWidth = load<i32>(descriptor, PADDING_WIDTH);
  const outputHeight = load<i32>(descriptor, OUTPUT_HEIGHT);
  const outputWidth = load<i32>(descriptor, OUTPUT_WIDTH);
  const pixelBytes = <usize>channels << 2;
  const rowBytes = <usize>width * pixelBytes;
  // Images are the input of pooling and the output of its adjoint; `values` has one value per window and channel.
  let image = <usize>load<u32>(descriptor + (forward ? INPUT : OUTPUT));
  let values = <usize>load<u32>(descriptor + (forward ? OUTPUT : INPUT));
  let argmaxIndices = <usize>load<u32>(descriptor, ARGMAX_INDICES);
  const indexBytes: usize = argmaxIndices == 0 ? 0 : pixelBytes;
  for (let index = 0; index < images; index++, image += <usize>height * rowBytes) {
    if (!forward) memory.fill(image, 0, <usize>height * rowBytes);
    for (let y = 0; y < outputHeight; y++) {
      const top = y * strideHeight - paddingHeight;
      const firstRow = max(0, -top);
      const rows = min(windowHeight, height - top) - firstRow;
      for (let x = 0; x < outputWidth; x++, values += pixelBytes, argmaxIndices += indexBytes) {
        const start = x * strideWidth - paddingWidth;
        const firstColumn = max(0, -start);
        const columns = min(windowWidth, width - start) - firstColumn;
        const corner = image + <usize>(top + firstRow) * rowBytes + <usize>(start + firstColumn) * pixelBytes;
        const first = firstRow * windowWidth + firstColumn;
        if (forward) poolWindow(corner, rows, columns, first, windowWidth, rowBytes, channels, values, argmaxIndices);
        else unpoolWindow(corner, rows, columns, first, windowWidth, rowBytes, channels, values, argmaxIndices);
      }
    }
  }
}

export function pool(descriptor: usize): void {
  overWindows(descriptor, true);
}

export function unpool(descriptor: usize): void {
  overWindows(descriptor, false);
}

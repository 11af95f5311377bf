/** The geometry of windows in a descriptor, padded images, and pooling. */
import { storeLanes } from './shared';

/** Windows over images, with the fields of `Windows` in src/shape.ts; programs.ts writes descriptors that begin so. */
@unmanaged
export class Geometry {
  images: i32;
  height: i32;
  width: i32;
  channels: i32;
  windowHeight: i32;
  windowWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  paddingHeight: i32;
  paddingWidth: i32;
  outputHeight: i32;
  outputWidth: i32;
}

/** Kinds of result of a convolution in a descriptor; the third is the kernel gradient. */
export const RESULT_OUTPUT: i32 = 0;
export const RESULT_INPUT_GRADIENT: i32 = 1;

/** Bytes of a row of a padded image. */
export function paddedRowBytes(geometry: Geometry): usize {
  return <usize>((geometry.width + 2 * geometry.paddingWidth) * geometry.channels) << 2;
}

/** Returns the padded image: `image` itself if `frame` is 0, else a copy in `frame`, whose border stays 0. */
export function padded(geometry: Geometry, frame: usize, image: usize): usize {
  if (frame == 0) return image;
  const frameBytes = paddedRowBytes(geometry);
  const pixelBytes = <usize>geometry.channels << 2;
  const rowBytes = <usize>geometry.width * pixelBytes;
  let to = frame + geometry.paddingHeight * frameBytes + geometry.paddingWidth * pixelBytes;
  for (let row = geometry.height; row > 0; row--, to += frameBytes, image += rowBytes) {
    memory.copy(to, image, rowBytes);
  }
  return frame;
}

@unmanaged
class Pooling extends Geometry {
  input: usize;
  output: usize;
  /** Argmax indices of max pooling; 0 for sums. */
  argmaxIndices: usize;
}

/** Stores the first `lanes` of eight floats, or all if `lanes` is larger. */
// @ts-ignore: decorator
@inline function storePair(target: usize, low: v128, high: v128, lanes: i32): void {
  if (lanes >= 8) {
    v128.store(target, low);
    v128.store(target, high, 16);
  } else {
    storeLanes(target, low, lanes);
    if (lanes > 4) storeLanes(target + 16, high, lanes - 4);
  }
}

/** Whether a value is larger than the best, or the first NaN: it is not at most `best`, and `best` is a number. */
// @ts-ignore: decorator
@inline function isLarger(value: v128, best: v128): v128 {
  return v128.andnot(f32x4.eq(best, best), f32x4.le(value, best));
}

/**
 * Pools one window over all channels, eight at a time; the last eight may be read past their end. `corner` is the first
 * place inside the image, number `first` of a window `windowWidth` wide; `rows` x `columns` places lie inside.
 */
function poolWindow(
  corner: usize, rows: i32, columns: i32, first: i32, windowWidth: i32, rowBytes: usize, channels: i32,
  output: usize, argmaxIndices: usize,
): void {
  const pixelBytes = <usize>channels << 2;
  for (let channel = 0; channel < channels; channel += 8) {
    const at = <usize>channel << 2;
    let row = corner + at;
    if (argmaxIndices == 0) {
      let low = f32x4.splat(0.0), high = f32x4.splat(0.0);
      for (let y = 0; y < rows; y++, row += rowBytes) {
        let pixel = row;
        for (let x = 0; x < columns; x++, pixel += pixelBytes) {
          low = f32x4.add(low, v128.load(pixel));
          high = f32x4.add(high, v128.load(pixel, 16));
        }
      }
      storePair(output + at, low, high, channels - channel);
      continue;
    }
    let low = v128.load(row), high = v128.load(row, 16);
    let lowIndex = f32x4.splat(<f32>first), highIndex = lowIndex;
    for (let y = 0; y < rows; y++, row += rowBytes) {
      let pixel = row;
      for (let x = 0; x < columns; x++, pixel += pixelBytes) {
        const place = f32x4.splat(<f32>(first + y * windowWidth + x));
        const lowValue = v128.load(pixel), highValue = v128.load(pixel, 16);
        const lowLarger = isLarger(lowValue, low), highLarger = isLarger(highValue, high);
        low = v128.bitselect(lowValue, low, lowLarger);
        high = v128.bitselect(highValue, high, highLarger);
        lowIndex = v128.bitselect(place, lowIndex, lowLarger);
        highIndex = v128.bitselect(place, highIndex, highLarger);
      }
    }
    storePair(output + at, low, high, channels - channel);
    storePair(argmaxIndices + at, lowIndex, highIndex, channels - channel);
  }
}

/** Adds one window's values to all its places inside the image, or each value to its argmax place only. */
function unpoolWindow(
  corner: usize, rows: i32, columns: i32, first: i32, windowWidth: i32, rowBytes: usize, channels: i32,
  input: usize, argmaxIndices: usize,
): void {
  const pixelBytes = <usize>channels << 2;
  for (let channel = 0; channel < channels; channel += 8) {
    const at = <usize>channel << 2;
    const low = v128.load(input + at), high = v128.load(input + at, 16);
    const indices = argmaxIndices == 0 ? input : argmaxIndices;
    const lowIndex = v128.load(indices + at), highIndex = v128.load(indices + at, 16);
    let row = corner + at;
    for (let y = 0; y < rows; y++, row += rowBytes) {
      let pixel = row;
      for (let x = 0; x < columns; x++, pixel += pixelBytes) {
        let lowShare = low, highShare = high;
        if (argmaxIndices != 0) {
          const place = f32x4.splat(<f32>(first + y * windowWidth + x));
          lowShare = v128.and(low, f32x4.eq(lowIndex, place));
          highShare = v128.and(high, f32x4.eq(highIndex, place));
        }
        const before = v128.load(pixel), after = v128.load(pixel, 16);
        storePair(pixel, f32x4.add(before, lowShare), f32x4.add(after, highShare), channels - channel);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function overWindows(pooling: Pooling, forward: bool): void {
  const images = pooling.images;
  const height = pooling.height;
  const width = pooling.width;
  const channels = pooling.channels;
  const windowHeight = pooling.windowHeight;
  const windowWidth = pooling.windowWidth;
  const strideHeight = pooling.strideHeight;
  const strideWidth = pooling.strideWidth;
  const paddingHeight = pooling.paddingHeight;
  const paddingWidth = pooling.paddingWidth;
  const outputHeight = pooling.outputHeight;
  const outputWidth = pooling.outputWidth;
  const pixelBytes = <usize>channels << 2;
  const rowBytes = <usize>width * pixelBytes;
  // Images are the input of pooling and the output of its adjoint; `values` has one value per window and channel.
  let image = forward ? pooling.input : pooling.output;
  let values = forward ? pooling.output : pooling.input;
  let argmaxIndices = pooling.argmaxIndices;
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
  overWindows(changetype<Pooling>(descriptor), true);
}

export function unpool(descriptor: usize): void {
  overWindows(changetype<Pooling>(descriptor), false);
}

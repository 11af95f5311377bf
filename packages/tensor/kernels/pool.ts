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

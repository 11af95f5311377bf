/**
 * Byte offsets of the window geometry in a descriptor, as written by src/backends/cpu/window-descriptors.ts, and padded
 * images.
 */
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

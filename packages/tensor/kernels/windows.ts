/** Byte offsets of the window geometry in a descriptor, as src/backends/cpu/window-descriptors.ts writes it. */
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

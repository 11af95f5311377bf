/** Convolution and its gradients: products of matrices whose left operand is read in place, window by window, never unfolded. */
import { copyTile, packRight, tileHeight } from './matmul';
import { multiplyAdd } from './multiplyAdd';
import { panelColumns } from './sizes';

// The descriptor, in 32-bit words, written by src/backends/cpu/windowSteps.ts.
const RESULT: usize = 0;
const IMAGES: usize = 4;
const HEIGHT: usize = 8;
const WIDTH: usize = 12;
const CHANNELS: usize = 16;
const WINDOW_HEIGHT: usize = 20;
const WINDOW_WIDTH: usize = 24;
const STRIDE_HEIGHT: usize = 28;
const STRIDE_WIDTH: usize = 32;
const PADDING_HEIGHT: usize = 36;
const PADDING_WIDTH: usize = 40;
const OUTPUT_HEIGHT: usize = 44;
const OUTPUT_WIDTH: usize = 48;
const FILTERS: usize = 52;
const LEFT: usize = 56;
const RIGHT: usize = 60;
const OUTPUT: usize = 64;
/** Room for the right operand in panels. */
const PACKED: usize = 68;
/** Room for one image with what surrounds it, full of zeros; 0 where images are read as they are. */
const FRAME: usize = 72;
/** Six pointers, then a finished tile of an edge: 32 + 192 bytes. */
const SCRATCH: usize = 76;
/** [filters] to add to every pixel, or 0, and whether negative sums become 0. */
const BIAS: usize = 80;
const RELU: usize = 84;

/** Values of `result` in a descriptor. */
const RESULT_OUTPUT: i32 = 0;
const RESULT_INPUT_GRADIENT: i32 = 1;

export function convolution(descriptor: usize): void {
  const result = load<i32>(descriptor, RESULT);
  if (result == RESULT_OUTPUT) forward(descriptor);
  else if (result == RESULT_INPUT_GRADIENT) inputGradient(descriptor);
  else kernelGradient(descriptor);
}

/**
 * One tile of `height` x 8: row i is the chain over `outer` runs of `inner` values, `step` apart, from the i-th pointer of
 * the table on, with `skip` more between runs, against rows of 8 on the right. `height` is constant where this is inlined.
 */
// @ts-ignore: decorator
@inline function windowTile(
  height: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  let p0 = <usize>load<u32>(table, 0), p1 = <usize>load<u32>(table, 4), p2 = <usize>load<u32>(table, 8);
  let p3 = <usize>load<u32>(table, 12), p4 = <usize>load<u32>(table, 16), p5 = <usize>load<u32>(table, 20);
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0);
  let c40 = f32x4.splat(0.0), c41 = f32x4.splat(0.0);
  let c50 = f32x4.splat(0.0), c51 = f32x4.splat(0.0);
  let row = c;
  if (goOn) {
    c00 = v128.load(row, 0); c01 = v128.load(row, 16); row += rowBytes;
    if (height > 1) { c10 = v128.load(row, 0); c11 = v128.load(row, 16); row += rowBytes; }
    if (height > 2) { c20 = v128.load(row, 0); c21 = v128.load(row, 16); row += rowBytes; }
    if (height > 3) { c30 = v128.load(row, 0); c31 = v128.load(row, 16); row += rowBytes; }
    if (height > 4) { c40 = v128.load(row, 0); c41 = v128.load(row, 16); row += rowBytes; }
    if (height > 5) { c50 = v128.load(row, 0); c51 = v128.load(row, 16); }
    row = c;
  }
  const run = <usize>inner * step;
  for (; outer > 0; outer--) {
    const end = p0 + run;
    while (p0 != end) {
      const b0 = v128.load(right, 0);
      const b1 = v128.load(right, 16);
      right += rightStep;
      let a = v128.load32_splat(p0); p0 += step;
      c00 = multiplyAdd(c00, a, b0); c01 = multiplyAdd(c01, a, b1);
      if (height > 1) { a = v128.load32_splat(p1); p1 += step; c10 = multiplyAdd(c10, a, b0); c11 = multiplyAdd(c11, a, b1); }
      if (height > 2) { a = v128.load32_splat(p2); p2 += step; c20 = multiplyAdd(c20, a, b0); c21 = multiplyAdd(c21, a, b1); }
      if (height > 3) { a = v128.load32_splat(p3); p3 += step; c30 = multiplyAdd(c30, a, b0); c31 = multiplyAdd(c31, a, b1); }
      if (height > 4) { a = v128.load32_splat(p4); p4 += step; c40 = multiplyAdd(c40, a, b0); c41 = multiplyAdd(c41, a, b1); }
      if (height > 5) { a = v128.load32_splat(p5); p5 += step; c50 = multiplyAdd(c50, a, b0); c51 = multiplyAdd(c51, a, b1); }
    }
    p0 += skip; p1 += skip; p2 += skip; p3 += skip; p4 += skip; p5 += skip;
  }
  if (bias != 0) {
    const d0 = v128.load(bias, 0);
    const d1 = v128.load(bias, 16);
    c00 = f32x4.add(c00, d0); c01 = f32x4.add(c01, d1);
    if (height > 1) { c10 = f32x4.add(c10, d0); c11 = f32x4.add(c11, d1); }
    if (height > 2) { c20 = f32x4.add(c20, d0); c21 = f32x4.add(c21, d1); }
    if (height > 3) { c30 = f32x4.add(c30, d0); c31 = f32x4.add(c31, d1); }
    if (height > 4) { c40 = f32x4.add(c40, d0); c41 = f32x4.add(c41, d1); }
    if (height > 5) { c50 = f32x4.add(c50, d0); c51 = f32x4.add(c51, d1); }
  }
  if (relu) {
    const zero = f32x4.splat(0.0);
    c00 = f32x4.max(c00, zero); c01 = f32x4.max(c01, zero);
    if (height > 1) { c10 = f32x4.max(c10, zero); c11 = f32x4.max(c11, zero); }
    if (height > 2) { c20 = f32x4.max(c20, zero); c21 = f32x4.max(c21, zero); }
    if (height > 3) { c30 = f32x4.max(c30, zero); c31 = f32x4.max(c31, zero); }
    if (height > 4) { c40 = f32x4.max(c40, zero); c41 = f32x4.max(c41, zero); }
    if (height > 5) { c50 = f32x4.max(c50, zero); c51 = f32x4.max(c51, zero); }
  }
  v128.store(row, c00, 0); v128.store(row, c01, 16); row += rowBytes;
  if (height > 1) { v128.store(row, c10, 0); v128.store(row, c11, 16); row += rowBytes; }
  if (height > 2) { v128.store(row, c20, 0); v128.store(row, c21, 16); row += rowBytes; }
  if (height > 3) { v128.store(row, c30, 0); v128.store(row, c31, 16); row += rowBytes; }
  if (height > 4) { v128.store(row, c40, 0); v128.store(row, c41, 16); row += rowBytes; }
  if (height > 5) { v128.store(row, c50, 0); v128.store(row, c51, 16); }
}

function windowTileOf(
  height: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  if (height == 6) windowTile(6, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
  else if (height == 4) windowTile(4, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
  else if (height == 2) windowTile(2, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
  else windowTile(1, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
}

/** `table` holds `valid` pointers; the rows of the tile that do not exist read what the last one reads. */
function windowTileAt(
  valid: i32, width: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  const height = tileHeight(valid);
  if (width == panelColumns && valid == height) {
    windowTileOf(height, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
    return;
  }
  for (let row = valid; row < height; row++) {
    store<u32>(table + (<usize>row << 2), load<u32>(table + (<usize>(valid - 1) << 2)));
  }
  const edge = table + 32;
  if (goOn) copyTile(edge, 32, c, rowBytes, valid, width);
  windowTileOf(height, table, outer, inner, step, skip, right, rightStep, edge, 32, goOn, bias, relu);
  copyTile(c, rowBytes, edge, 32, valid, width);
}

/** The windows over one image, `image` x packed right operand [windowHeight * windowWidth * channels, filters]. */
function windowProduct(
  image: usize, rowBytes: usize, channels: i32, windowHeight: i32, windowWidth: i32, stepHeight: usize, stepWidth: usize,
  outputHeight: i32, outputWidth: i32, packed: usize, filters: i32, output: usize, table: usize, bias: usize, relu: bool,
): void {
  const run = windowWidth * channels;
  const skip = rowBytes - (<usize>run << 2);
  const panelBytes = <usize>(windowHeight * run) << 5;
  const pixels = outputHeight * outputWidth;
  const outputBytes = <usize>filters << 2;
  const rowSkip = stepHeight - <usize>outputWidth * stepWidth;
  let next = image;
  let x = 0;
  for (let pixel = 0; pixel < pixels; ) {
    const rows = min(6, pixels - pixel);
    for (let row = 0; row < rows; row++) {
      store<u32>(table + (<usize>row << 2), <u32>next);
      next += stepWidth;
      if (++x == outputWidth) {
        x = 0;
        next += rowSkip;
      }
    }
    let right = packed;
    for (let column = 0; column < filters; column += panelColumns, right += panelBytes) {
      const at = <usize>column << 2;
      const width = min(panelColumns, filters - column);
      windowTileAt(
        rows, width, table, windowHeight, run, 4, skip, right, 32,
        output + at, outputBytes, false, bias == 0 ? 0 : bias + at, relu,
      );
    }
    output += <usize>rows * outputBytes;
    pixel += rows;
  }
}

/** Copies an image into the middle of its frame, whose border stays 0. */
function frameImage(frame: usize, frameBytes: usize, offset: usize, image: usize, height: i32, rowBytes: usize): void {
  let to = frame + offset;
  for (let row = 0; row < height; row++, to += frameBytes, image += rowBytes) memory.copy(to, image, rowBytes);
}

function forward(descriptor: usize): void {
  const images = load<i32>(descriptor, IMAGES);
  const height = load<i32>(descriptor, HEIGHT);
  const width = load<i32>(descriptor, WIDTH);
  const channels = load<i32>(descriptor, CHANNELS);
  const windowHeight = load<i32>(descriptor, WINDOW_HEIGHT);
  const windowWidth = load<i32>(descriptor, WINDOW_WIDTH);
  const outputHeight = load<i32>(descriptor, OUTPUT_HEIGHT);
  const outputWidth = load<i32>(descriptor, OUTPUT_WIDTH);
  const filters = load<i32>(descriptor, FILTERS);
  const packed = <usize>load<u32>(descriptor, PACKED);
  const frame = <usize>load<u32>(descriptor, FRAME);
  const pixelBytes = <usize>channels << 2;
  const rowBytes = <usize>width * pixelBytes;
  const paddingWidth = load<i32>(descriptor, PADDING_WIDTH);
  const frameBytes = <usize>(width + 2 * paddingWidth) * pixelBytes;
  const frameOffset = <usize>load<i32>(descriptor, PADDING_HEIGHT) * frameBytes + <usize>paddingWidth * pixelBytes;
  const outputBytes = <usize>(outputHeight * outputWidth * filters) << 2;
  let image = <usize>load<u32>(descriptor, LEFT);
  let output = <usize>load<u32>(descriptor, OUTPUT);
  const inner = windowHeight * windowWidth * channels;
  packRight(packed, <usize>load<u32>(descriptor, RIGHT), filters, inner, 4, <usize>filters << 2);
  for (let index = 0; index < images; index++, image += <usize>height * rowBytes, output += outputBytes) {
    if (frame != 0) frameImage(frame, frameBytes, frameOffset, image, height, rowBytes);
    windowProduct(
      frame != 0 ? frame : image, frameBytes, channels, windowHeight, windowWidth,
      <usize>load<i32>(descriptor, STRIDE_HEIGHT) * frameBytes, <usize>load<i32>(descriptor, STRIDE_WIDTH) * pixelBytes,
      outputHeight, outputWidth, packed, filters, output, <usize>load<u32>(descriptor, SCRATCH),
      <usize>load<u32>(descriptor, BIAS), load<i32>(descriptor, RELU) != 0,
    );
  }
}

/** Panels of 8 channels of the kernel with both window axes reversed: rows are (windowRow, windowColumn, filter). */
function packTurned(target: usize, kernel: usize, places: i32, channels: i32, filters: i32): void {
  const filterBytes = <usize>filters << 2;
  for (let channel = 0; channel < channels; channel += panelColumns) {
    const width = min(panelColumns, channels - channel);
    for (let place = places - 1; place >= 0; place--) {
      const from = kernel + <usize>(place * channels + channel) * filterBytes;
      for (let filter: usize = 0; filter < filterBytes; filter += 4, target += 32) {
        for (let lane = 0; lane < panelColumns; lane++) {
          const value: f32 = lane < width ? load<f32>(from + filter + <usize>lane * filterBytes) : 0;
          store<f32>(target + (<usize>lane << 2), value);
        }
      }
    }
  }
}

/** Copies the gradients of one image into its frame, the strides apart. */
function spreadGradient(
  frame: usize, frameHeight: i32, frameWidth: i32, top: i32, start: i32, strideHeight: i32, strideWidth: i32,
  gradient: usize, outputHeight: i32, outputWidth: i32, filters: i32,
): void {
  const pixelBytes = <usize>filters << 2;
  for (let y = 0; y < outputHeight; y++) {
    const row = top + y * strideHeight;
    if (row < 0 || row >= frameHeight) {
      gradient += <usize>outputWidth * pixelBytes;
      continue;
    }
    if (strideWidth == 1 && start >= 0 && start + outputWidth <= frameWidth) {
      memory.copy(frame + <usize>(row * frameWidth + start) * pixelBytes, gradient, <usize>outputWidth * pixelBytes);
      gradient += <usize>outputWidth * pixelBytes;
      continue;
    }
    for (let x = 0; x < outputWidth; x++, gradient += pixelBytes) {
      const column = start + x * strideWidth;
      if (column < 0 || column >= frameWidth) continue;
      memory.copy(frame + <usize>(row * frameWidth + column) * pixelBytes, gradient, pixelBytes);
    }
  }
}

function inputGradient(descriptor: usize): void {
  const images = load<i32>(descriptor, IMAGES);
  const height = load<i32>(descriptor, HEIGHT);
  const width = load<i32>(descriptor, WIDTH);
  const channels = load<i32>(descriptor, CHANNELS);
  const windowHeight = load<i32>(descriptor, WINDOW_HEIGHT);
  const windowWidth = load<i32>(descriptor, WINDOW_WIDTH);
  const outputHeight = load<i32>(descriptor, OUTPUT_HEIGHT);
  const outputWidth = load<i32>(descriptor, OUTPUT_WIDTH);
  const filters = load<i32>(descriptor, FILTERS);
  const packed = <usize>load<u32>(descriptor, PACKED);
  const frame = <usize>load<u32>(descriptor, FRAME);
  const frameHeight = height + windowHeight - 1;
  const frameWidth = width + windowWidth - 1;
  const frameBytes = <usize>(frameWidth * filters) << 2;
  const top = windowHeight - 1 - load<i32>(descriptor, PADDING_HEIGHT);
  const start = windowWidth - 1 - load<i32>(descriptor, PADDING_WIDTH);
  let gradient = <usize>load<u32>(descriptor, LEFT);
  let output = <usize>load<u32>(descriptor, OUTPUT);
  const gradientBytes = <usize>(outputHeight * outputWidth * filters) << 2;
  const outputBytes = <usize>(height * width * channels) << 2;
  packTurned(packed, <usize>load<u32>(descriptor, RIGHT), windowHeight * windowWidth, channels, filters);
  for (let index = 0; index < images; index++, gradient += gradientBytes, output += outputBytes) {
    spreadGradient(
      frame, frameHeight, frameWidth, top, start, load<i32>(descriptor, STRIDE_HEIGHT), load<i32>(descriptor, STRIDE_WIDTH),
      gradient, outputHeight, outputWidth, filters,
    );
    windowProduct(
      frame, frameBytes, filters, windowHeight, windowWidth, frameBytes, <usize>filters << 2,
      height, width, packed, channels, output, <usize>load<u32>(descriptor, SCRATCH), 0, false,
    );
  }
}

function kernelGradient(descriptor: usize): void {
  const images = load<i32>(descriptor, IMAGES);
  const height = load<i32>(descriptor, HEIGHT);
  const width = load<i32>(descriptor, WIDTH);
  const channels = load<i32>(descriptor, CHANNELS);
  const windowHeight = load<i32>(descriptor, WINDOW_HEIGHT);
  const outputHeight = load<i32>(descriptor, OUTPUT_HEIGHT);
  const outputWidth = load<i32>(descriptor, OUTPUT_WIDTH);
  const filters = load<i32>(descriptor, FILTERS);
  const frame = <usize>load<u32>(descriptor, FRAME);
  const table = <usize>load<u32>(descriptor, SCRATCH);
  const pixelBytes = <usize>channels << 2;
  const rowBytes = <usize>width * pixelBytes;
  const paddingWidth = load<i32>(descriptor, PADDING_WIDTH);
  const frameBytes = <usize>(width + 2 * paddingWidth) * pixelBytes;
  const frameOffset = <usize>load<i32>(descriptor, PADDING_HEIGHT) * frameBytes + <usize>paddingWidth * pixelBytes;
  const step = <usize>load<i32>(descriptor, STRIDE_WIDTH) * pixelBytes;
  const skip = <usize>load<i32>(descriptor, STRIDE_HEIGHT) * frameBytes - <usize>outputWidth * step;
  const filterBytes = <usize>filters << 2;
  const output = <usize>load<u32>(descriptor, OUTPUT);
  const run = load<i32>(descriptor, WINDOW_WIDTH) * channels;
  const inner = windowHeight * run;
  let image = <usize>load<u32>(descriptor, LEFT);
  let gradient = <usize>load<u32>(descriptor, RIGHT);
  const gradientBytes = <usize>(outputHeight * outputWidth) * filterBytes;
  if (images == 0) memory.fill(output, 0, <usize>inner * filterBytes);
  for (let index = 0; index < images; index++, image += <usize>height * rowBytes, gradient += gradientBytes) {
    if (frame != 0) frameImage(frame, frameBytes, frameOffset, image, height, rowBytes);
    // The place of the window's value that the next row of the result belongs to.
    let next = frame != 0 ? frame : image;
    let left = run;
    let c = output;
    for (let place = 0; place < inner; ) {
      const rows = min(6, inner - place);
      for (let row = 0; row < rows; row++) {
        store<u32>(table + (<usize>row << 2), <u32>next);
        next += 4;
        if (--left == 0) {
          left = run;
          next += frameBytes - (<usize>run << 2);
        }
      }
      for (let column = 0; column < filters; column += panelColumns) {
        const at = <usize>column << 2;
        windowTileAt(
          rows, min(panelColumns, filters - column), table, outputHeight, outputWidth, step, skip,
          gradient + at, filterBytes, c + at, filterBytes, index > 0, 0, false,
        );
      }
      c += <usize>rows * filterBytes;
      place += rows;
    }
  }
}

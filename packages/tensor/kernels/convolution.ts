/** Convolution and its gradients: products of matrices whose left operand is read in place, window by window, never unfolded. */
import { packRight } from './matmul';
import { panelColumns } from './sizes';
import { copyTile, tile, tileHeight, tileRows } from './tile';

// The descriptor, in 32-bit words, written by src/backends/cpu/window-descriptors.ts.
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
/** Four pointers, then a finished tile of an edge: 16 + 128 bytes. */
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

/** A tile whose rows begin where the pointers of the table say. */
// @ts-ignore: decorator
@inline function windowTile(
  height: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  tile(
    height, false, load<u32>(table, 0), load<u32>(table, 4), load<u32>(table, 8), load<u32>(table, 12), outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu,
  );
}

function windowTileOf(
  height: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  if (height == 4) windowTile(4, table, outer, inner, step, skip, right, rightStep, c, rowBytes, goOn, bias, relu);
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
  const edge = table + 16;
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
    const rows = min(tileRows, pixels - pixel);
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
      const rows = min(tileRows, inner - place);
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

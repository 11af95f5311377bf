/** Convolution and its gradients, as products whose left operand is read in place, window by window. */
import { allFinite } from './convert';
import { packRight } from './product';
import { isWide, multiplyAddOnce, panelColumns } from './shared';
import {
  sparseInputGradient, sparseKernelGradient, worthSkippingInputZeros, worthSkippingKernelZeros,
} from './sparse-convolution';
import { copyTile, tile, tileHeight, tileRows } from './tile';
import { Geometry, RESULT_INPUT_GRADIENT, RESULT_OUTPUT, padded, paddedRowBytes } from './pool';

/** The descriptor after the kind of its result, as src/backends/cpu/programs.ts writes it. */
@unmanaged
class Convolution extends Geometry {
  filters: i32;
  left: usize;
  right: usize;
  output: usize;
  /** Room for the packed right operand. */
  packed: usize;
  /** Room for one image with its zero padding; 0 if there is no padding. */
  frame: usize;
  /** Four pointers, then one finished edge tile: 16 + 128 bytes. */
  scratch: usize;
  /** Bias [filters], or 0. */
  bias: usize;
  relu: i32;
}

export function convolution(descriptor: usize): void {
  const result = load<i32>(descriptor);
  const geometry = changetype<Convolution>(descriptor + 4);
  const left = geometry.left;
  const right = geometry.right;
  const output = geometry.output;
  const filters = geometry.filters;
  const framed = geometry.frame != 0;
  if (result == RESULT_OUTPUT) {
    if (framed && !allFinite(right, kernelSize(geometry))) innerForward(geometry, filters, left, right, output);
    else forward(geometry);
  } else if (result == RESULT_INPUT_GRADIENT) {
    if (worthSkippingInputZeros(geometry, filters, left, right)) sparseInputGradient(geometry, filters, left, right, output);
    else if (allFinite(right, kernelSize(geometry))) inputGradient(geometry);
    else {
      const pixels = geometry.images * geometry.height * geometry.width;
      innerConvolution(result, geometry, filters, left, right, output, pixels * geometry.channels);
    }
  } else {
    if (worthSkippingKernelZeros(geometry, filters, left, right)) {
      sparseKernelGradient(geometry, filters, left, right, output, geometry.frame);
    } else kernelGradient(geometry);
    // The gradient is larger than the output, so the output is checked instead.
    if (framed && anyNaN(output, kernelSize(geometry))) {
      innerConvolution(result, geometry, filters, left, right, output, kernelSize(geometry));
    }
  }
}

function kernelSize(geometry: Convolution): i32 {
  const places = geometry.windowHeight * geometry.windowWidth;
  return places * geometry.channels * geometry.filters;
}

function innerForward(geometry: Convolution, filters: i32, left: usize, right: usize, output: usize): void {
  const windows = geometry.images * geometry.outputHeight * geometry.outputWidth;
  innerConvolution(RESULT_OUTPUT, geometry, filters, left, right, output, windows * filters);
  finishRows(output, windows * filters, filters, geometry.bias, geometry.relu != 0);
}

/** Computes a tile whose rows begin at the pointers in `table`. */
// @ts-ignore: decorator
@inline function windowTile(
  height: i32, wide: bool, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  panelBytes: usize, c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  tile(
    height, wide, load<u32>(table, 0), load<u32>(table, 4), load<u32>(table, 8), load<u32>(table, 12),
    outer, inner, step, skip, right, rightStep, panelBytes, c, rowBytes, goOn, bias, relu,
  );
}

/** Only a height of 4 can be wide. */
function windowTileOf(
  height: i32, wide: bool, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  panelBytes: usize, c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): void {
  // Constant, so that no branch divides the loads of the first tiles, of which an engine may make one vector of two.
  if (wide && goOn) windowTile(4, true, table, outer, inner, step, skip, right, rightStep, panelBytes, c, rowBytes, true, bias, relu);
  else if (wide) windowTile(4, true, table, outer, inner, step, skip, right, rightStep, panelBytes, c, rowBytes, false, bias, relu);
  else if (height == 4 && goOn) windowTile(4, false, table, outer, inner, step, skip, right, rightStep, 0, c, rowBytes, true, bias, relu);
  else if (height == 4) windowTile(4, false, table, outer, inner, step, skip, right, rightStep, 0, c, rowBytes, false, bias, relu);
  else if (height == 2) windowTile(2, false, table, outer, inner, step, skip, right, rightStep, 0, c, rowBytes, goOn, bias, relu);
  else windowTile(1, false, table, outer, inner, step, skip, right, rightStep, 0, c, rowBytes, goOn, bias, relu);
}

/**
 * Computes a tile of `valid` rows, whose pointers are in `table`; rows beyond them repeat the last one. Takes up to
 * `columns` columns and returns how many: two panels, `panelBytes` apart, if both are whole and a vector has 256 bits.
 */
function windowTileAt(
  valid: i32, columns: i32, table: usize, outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  panelBytes: usize, c: usize, rowBytes: usize, goOn: bool, bias: usize, relu: bool,
): i32 {
  const height = tileHeight(valid);
  const wide = isWide() && valid == tileRows && columns >= 2 * panelColumns;
  if (valid == height && columns >= panelColumns) {
    windowTileOf(height, wide, table, outer, inner, step, skip, right, rightStep, panelBytes, c, rowBytes, goOn, bias, relu);
    return wide ? 2 * panelColumns : panelColumns;
  }
  for (let row = valid; row < height; row++) {
    store<u32>(table + (<usize>row << 2), load<u32>(table + (<usize>(valid - 1) << 2)));
  }
  const width = min(panelColumns, columns);
  const edge = table + 16;
  if (goOn) copyTile(edge, 32, c, rowBytes, valid, width);
  windowTileOf(height, false, table, outer, inner, step, skip, right, rightStep, 0, edge, 32, goOn, bias, relu);
  copyTile(c, rowBytes, edge, 32, valid, width);
  return width;
}

/**
 * Multiplies the windows over `image`, whose rows are `rowBytes` apart, by the packed right operand
 * [windowHeight * windowWidth * channels, filters].
 */
function windowProduct(
  geometry: Convolution, image: usize, rowBytes: usize, channels: i32, stepHeight: usize, stepWidth: usize,
  outputHeight: i32, outputWidth: i32, filters: i32, output: usize, bias: usize, relu: bool,
): void {
  const table = geometry.scratch;
  const windowHeight = geometry.windowHeight;
  const run = geometry.windowWidth * channels;
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
    for (let column = 0; column < filters; ) {
      const at = <usize>column << 2;
      column += windowTileAt(
        rows, filters - column, table, windowHeight, run, 4, skip, geometry.packed + <usize>(column / panelColumns) * panelBytes,
        32, panelBytes, output + at, outputBytes, false, bias == 0 ? 0 : bias + at, relu,
      );
    }
    output += <usize>rows * outputBytes;
    pixel += rows;
  }
}

function forward(geometry: Convolution): void {
  const channels = geometry.channels;
  const outputHeight = geometry.outputHeight;
  const outputWidth = geometry.outputWidth;
  const filters = geometry.filters;
  const pixelBytes = <usize>channels << 2;
  const imageBytes = <usize>(geometry.height * geometry.width) * pixelBytes;
  const rowBytes = paddedRowBytes(geometry);
  const outputBytes = <usize>(outputHeight * outputWidth * filters) << 2;
  const inner = geometry.windowHeight * geometry.windowWidth * channels;
  let image = geometry.left;
  let output = geometry.output;
  packRight(geometry.packed, geometry.right, filters, inner, 4, <usize>filters << 2);
  for (let rest = geometry.images; rest > 0; rest--, image += imageBytes, output += outputBytes) {
    windowProduct(
      geometry, padded(geometry, geometry.frame, image), rowBytes, channels,
      <usize>geometry.strideHeight * rowBytes, <usize>geometry.strideWidth * pixelBytes,
      outputHeight, outputWidth, filters, output, geometry.bias, geometry.relu != 0,
    );
  }
}

/** Packs the flipped kernel into panels of 8 channels; rows are (windowRow, windowColumn, filter). */
function packFlipped(target: usize, kernel: usize, places: i32, channels: i32, filters: i32): void {
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

/** Copies the gradient of one image into its frame, with its pixels a stride apart. */
function dilateGradient(geometry: Convolution, frame: usize, frameHeight: i32, frameWidth: i32, gradient: usize): void {
  const outputWidth = geometry.outputWidth;
  const strideWidth = geometry.strideWidth;
  const start = geometry.windowWidth - 1 - geometry.paddingWidth;
  const pixelBytes = <usize>geometry.filters << 2;
  const rowBytes = <usize>outputWidth * pixelBytes;
  let row = geometry.windowHeight - 1 - geometry.paddingHeight;
  for (let y = geometry.outputHeight; y > 0; y--, row += geometry.strideHeight, gradient += rowBytes) {
    if (row < 0 || row >= frameHeight) continue;
    if (strideWidth == 1 && start >= 0 && start + outputWidth <= frameWidth) {
      memory.copy(frame + <usize>(row * frameWidth + start) * pixelBytes, gradient, rowBytes);
      continue;
    }
    for (let x = 0, pixel = gradient; x < outputWidth; x++, pixel += pixelBytes) {
      const column = start + x * strideWidth;
      if (column < 0 || column >= frameWidth) continue;
      memory.copy(frame + <usize>(row * frameWidth + column) * pixelBytes, pixel, pixelBytes);
    }
  }
}

function inputGradient(geometry: Convolution): void {
  const height = geometry.height;
  const width = geometry.width;
  const channels = geometry.channels;
  const windowHeight = geometry.windowHeight;
  const windowWidth = geometry.windowWidth;
  const filters = geometry.filters;
  const frame = geometry.frame;
  const frameWidth = width + windowWidth - 1;
  const pixelBytes = <usize>filters << 2;
  const frameBytes = <usize>frameWidth * pixelBytes;
  const gradientBytes = <usize>(geometry.outputHeight * geometry.outputWidth) * pixelBytes;
  const outputBytes = <usize>(height * width * channels) << 2;
  let gradient = geometry.left;
  let output = geometry.output;
  packFlipped(geometry.packed, geometry.right, windowHeight * windowWidth, channels, filters);
  for (let rest = geometry.images; rest > 0; rest--, gradient += gradientBytes, output += outputBytes) {
    dilateGradient(geometry, frame, height + windowHeight - 1, frameWidth, gradient);
    windowProduct(
      geometry, frame, frameBytes, filters, frameBytes, pixelBytes, height, width, channels, output, 0, false,
    );
  }
}

function kernelGradient(geometry: Convolution): void {
  const images = geometry.images;
  const channels = geometry.channels;
  const filters = geometry.filters;
  const output = geometry.output;
  const imageBytes = <usize>(geometry.height * geometry.width * channels) << 2;
  const gradientBytes = <usize>(geometry.outputHeight * geometry.outputWidth * filters) << 2;
  let image = geometry.left;
  let gradient = geometry.right;
  if (images == 0) {
    const places = geometry.windowHeight * geometry.windowWidth * channels;
    memory.fill(output, 0, <usize>(places * filters) << 2);
  }
  for (let index = 0; index < images; index++, image += imageBytes, gradient += gradientBytes) {
    addKernelGradient(geometry, padded(geometry, geometry.frame, image), paddedRowBytes(geometry), gradient, output, index > 0);
  }
}

/**
 * Computes the kernel gradient of one image, `frame`, whose rows are `frameBytes` long; adds it to the output if `goOn`
 * is set.
 */
function addKernelGradient(
  geometry: Convolution, frame: usize, frameBytes: usize, gradient: usize, output: usize, goOn: bool,
): void {
  const channels = geometry.channels;
  const outputHeight = geometry.outputHeight;
  const outputWidth = geometry.outputWidth;
  const filters = geometry.filters;
  const table = geometry.scratch;
  const step = (<usize>geometry.strideWidth * channels) << 2;
  const skip = <usize>geometry.strideHeight * frameBytes - <usize>outputWidth * step;
  const filterBytes = <usize>filters << 2;
  const run = geometry.windowWidth * channels;
  const inner = geometry.windowHeight * run;
  // Address of the window's value that the next row of the result belongs to.
  let next = frame;
  let left = run;
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
    for (let column = 0; column < filters; ) {
      const at = <usize>column << 2;
      column += windowTileAt(
        rows, filters - column, table, outputHeight, outputWidth, step, skip,
        gradient + at, filterBytes, 32, output + at, filterBytes, goOn, 0, false,
      );
    }
    output += <usize>rows * filterBytes;
    place += rows;
  }
}

/**
 * Computes a `result` from the places of windows that lie inside the images, in the order given in src/backend.ts.
 * Slow, but only used for values that are not finite, which end most runs anyway.
 */
function innerConvolution(
  result: i32, geometry: Geometry, filters: i32, left: usize, right: usize, output: usize, outputSize: i32,
): void {
  memory.fill(output, 0, <usize>outputSize << 2);
  const height = geometry.height;
  const width = geometry.width;
  let window = 0;
  for (let image = 0; image < geometry.images; image++) {
    for (let windowY = 0; windowY < geometry.outputHeight; windowY++) {
      for (let windowX = 0; windowX < geometry.outputWidth; windowX++, window++) {
        const top = windowY * geometry.strideHeight - geometry.paddingHeight;
        const start = windowX * geometry.strideWidth - geometry.paddingWidth;
        let place = 0;
        for (let y = top; y < top + geometry.windowHeight; y++) {
          for (let x = start; x < start + geometry.windowWidth; x++, place++) {
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            addPlace(result, geometry, filters, left, right, output, window, place, (image * height + y) * width + x);
          }
        }
      }
    }
  }
}

/** Adds the products of one place of a window, which lies on `pixel`, to the result. */
function addPlace(
  result: i32, geometry: Geometry, filters: i32, left: usize, right: usize, output: usize, window: i32, place: i32, pixel: i32,
): void {
  const channels = geometry.channels;
  for (let channel = 0; channel < channels; channel++) {
    const ofImage = <usize>(pixel * channels + channel) << 2;
    for (let filter = 0; filter < filters; filter++) {
      const ofOutput = <usize>(window * filters + filter) << 2;
      const ofKernel = <usize>((place * channels + channel) * filters + filter) << 2;
      if (result == RESULT_OUTPUT) addProduct(output + ofOutput, left + ofImage, right + ofKernel);
      else if (result == RESULT_INPUT_GRADIENT) addProduct(output + ofImage, left + ofOutput, right + ofKernel);
      else addProduct(output + ofKernel, left + ofImage, right + ofOutput);
    }
  }
}

// @ts-ignore: decorator
@inline function addProduct(sum: usize, left: usize, right: usize): void {
  store<f32>(sum, multiplyAddOnce(load<f32>(sum), load<f32>(left), load<f32>(right)));
}

/** Adds the bias [filters], unless `bias` is 0, to every row of an output, then applies relu if `relu` is set. */
function finishRows(output: usize, outputSize: i32, filters: i32, bias: usize, relu: bool): void {
  for (let at = 0; at < outputSize; at++, output += 4) {
    let value = load<f32>(output);
    if (bias != 0) value += load<f32>(bias + (<usize>(at % filters) << 2));
    store<f32>(output, relu ? max(value, <f32>0) : value);
  }
}

/** Whether any value is NaN. */
function anyNaN(source: usize, count: i32): bool {
  for (const end = source + (<usize>count << 2); source < end; source += 4) {
    const value = load<f32>(source);
    if (value != value) return true;
  }
  return false;
}

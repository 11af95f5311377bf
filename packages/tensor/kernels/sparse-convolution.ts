/** Gradients of a convolution that skip the zeros of the output's gradient, bit-identical to the dense ones. */
import { allFinite } from './convert';
import { sparseLanes, workspace, workspaceBytes } from './shared';
import {
  columnListsBytes, extendChains, fewNonzeros, listColumns, listEnd, listRow, listSlack, setListEnd,
} from './sparse';
import {
  CHANNELS, HEIGHT, IMAGES, OUTPUT_HEIGHT, OUTPUT_WIDTH, PADDING_HEIGHT, PADDING_WIDTH, STRIDE_HEIGHT, STRIDE_WIDTH,
  WIDTH, WINDOW_HEIGHT, WINDOW_WIDTH, padded, paddedRowBytes,
} from './windows';

// Max pooling leaves three of four pixels without a gradient, and relu even more. sparse-product.ts says why skipping
// is exact.

/** With shorter window rows there is too little work per list entry. */
const shortestRun: i32 = 16;
const smallestGradient: i32 = 1024;

/** Number of values in a row of a window. */
function runOf(geometry: usize): i32 {
  return load<i32>(geometry, WINDOW_WIDTH) * load<i32>(geometry, CHANNELS);
}

/** Bytes of a row of a window, in whole vectors. */
function runBytesOf(geometry: usize): usize {
  return <usize>((runOf(geometry) + 3) & ~3) << 2;
}

/** Bytes of a window, its rows in whole vectors. */
function windowBytesOf(geometry: usize): usize {
  return <usize>load<i32>(geometry, WINDOW_HEIGHT) * runBytesOf(geometry);
}

function outputPixels(geometry: usize): i32 {
  return load<i32>(geometry, OUTPUT_HEIGHT) * load<i32>(geometry, OUTPUT_WIDTH);
}

function listBytesOf(geometry: usize): usize {
  return <usize>(outputPixels(geometry) + listSlack) << 3;
}

function paddedBytes(geometry: usize): usize {
  return <usize>(load<i32>(geometry, HEIGHT) + 2 * load<i32>(geometry, PADDING_HEIGHT)) * paddedRowBytes(geometry);
}

function isSparse(geometry: usize, filters: i32, gradient: usize): bool {
  const size = load<i32>(geometry, IMAGES) * outputPixels(geometry) * filters;
  return runOf(geometry) >= shortestRun && size >= smallestGradient && fewNonzeros<f32>(gradient, size);
}

/** Whether `sparseKernelGradient` is exact, fits in its memory, and is likely to be faster. */
export function worthSkippingKernelZeros(geometry: usize, filters: i32, images: usize, gradient: usize): bool {
  const lists = <usize>sparseLanes * listBytesOf(geometry);
  if (KERNEL_LISTS + lists + <usize>filters * windowBytesOf(geometry) > workspaceBytes()) return false;
  const size = load<i32>(geometry, HEIGHT) * load<i32>(geometry, WIDTH) * load<i32>(geometry, CHANNELS);
  return isSparse(geometry, filters, gradient) && allFinite(images, load<i32>(geometry, IMAGES) * size);
}

// Memory of the kernel gradient: the memory of `listColumns`, with one column per filter, the lists, and the transposed
// result [filters, windowHeight, run] with rows in whole vectors.
const KERNEL_LISTS: usize = columnListsBytes;

/**
 * Computes `output` [windowHeight, windowWidth, channels, filters] = transposed unfolded(images) x gradient; `frame` is
 * as in `padded`.
 */
export function sparseKernelGradient(
  geometry: usize, filters: i32, images: usize, gradient: usize, output: usize, frame: usize,
): void {
  const imageBytes = <usize>(load<i32>(geometry, HEIGHT) * load<i32>(geometry, WIDTH) * load<i32>(geometry, CHANNELS)) << 2;
  const gradientBytes = <usize>(outputPixels(geometry) * filters) << 2;
  const windowBytes = windowBytesOf(geometry);
  const transposed = workspace() + KERNEL_LISTS + <usize>sparseLanes * listBytesOf(geometry);
  memory.fill(transposed, 0, <usize>filters * windowBytes);
  for (let rest = load<i32>(geometry, IMAGES); rest > 0; rest--, images += imageBytes, gradient += gradientBytes) {
    const image = padded(geometry, frame, images);
    for (let filter = 0; filter < filters; filter += sparseLanes) {
      const lanes = min(sparseLanes, filters - filter);
      listFilters(geometry, lanes, gradient + (<usize>filter << 2), <usize>filters << 2);
      for (let lane = 0; lane < lanes; lane++) {
        addWindows(geometry, lane, image, transposed + <usize>(filter + lane) * windowBytes);
      }
    }
  }
  transposeKernel(geometry, filters, transposed, output);
}

/** Lists the nonzeros of adjacent filters over the pixels of one gradient, with the offsets of their windows. */
function listFilters(geometry: usize, lanes: i32, gradient: usize, pixelBytes: usize): void {
  const lists = workspace();
  const listBytes = listBytesOf(geometry);
  for (let lane = 0; lane < lanes; lane++) setListEnd(lists, lane, lists + KERNEL_LISTS + <usize>lane * listBytes);
  const width = load<i32>(geometry, OUTPUT_WIDTH);
  const step = <u32>(load<i32>(geometry, STRIDE_WIDTH) * load<i32>(geometry, CHANNELS)) << 2;
  const rowStep = <u32>load<i32>(geometry, STRIDE_HEIGHT) * <u32>paddedRowBytes(geometry);
  let offset: u32 = 0;
  for (let y = load<i32>(geometry, OUTPUT_HEIGHT); y > 0; y--, offset += rowStep, gradient += <usize>width * pixelBytes) {
    listColumns<f32>(lists, lanes, gradient, pixelBytes, width, offset, step, 0);
  }
}

/** Adds the windows over `image` in a lane's list, each times its value, to `sums`. */
function addWindows(geometry: usize, lane: i32, image: usize, sums: usize): void {
  const list = workspace() + KERNEL_LISTS + <usize>lane * listBytesOf(geometry);
  const end = listEnd(workspace(), lane);
  if (end == list) return;
  const runBytes = runBytesOf(geometry);
  const frameBytes = paddedRowBytes(geometry);
  for (let y = load<i32>(geometry, WINDOW_HEIGHT); y > 0; y--, image += frameBytes, sums += runBytes) {
    extendChains(true, list, end, image, sums, runBytes);
  }
}

/** Transposes [filters, windowHeight, run], with rows in whole vectors, to [windowHeight, run, filters]. */
function transposeKernel(geometry: usize, filters: i32, source: usize, target: usize): void {
  const windowBytes = windowBytesOf(geometry);
  const run = runOf(geometry);
  const runBytes = runBytesOf(geometry);
  for (let y = load<i32>(geometry, WINDOW_HEIGHT); y > 0; y--, source += runBytes) {
    for (let place = 0; place < run; place++) {
      let from = source + (<usize>place << 2);
      for (let filter = 0; filter < filters; filter++, from += windowBytes, target += 4) store<f32>(target, load<f32>(from));
    }
  }
}

/** Whether `sparseInputGradient` is exact, fits in its memory, and is likely to be faster. */
export function worthSkippingInputZeros(geometry: usize, filters: i32, gradient: usize, kernel: usize): bool {
  // The sums of a row must be whole vectors: the sums of other pixels follow directly.
  if ((runOf(geometry) & 3) != 0) return false;
  const lists = <usize>(filters + listSlack) << 3;
  if (lists + paddedBytes(geometry) + <usize>filters * windowBytesOf(geometry) + 64 > workspaceBytes()) return false;
  return isSparse(geometry, filters, gradient) && allFinite(kernel, load<i32>(geometry, WINDOW_HEIGHT) * runOf(geometry) * filters);
}

/**
 * Computes `output` [images, height, width, channels], the gradient of the images. Each pixel of the gradient is added
 * to the places under its window. Pixels are taken in order, which for each place is the order of its chain.
 */
export function sparseInputGradient(
  geometry: usize, filters: i32, gradient: usize, kernel: usize, output: usize,
): void {
  const list = workspace();
  const kernels = (list + (<usize>(filters + listSlack) << 3) + 15) & ~15;
  const frame = kernels + <usize>filters * windowBytesOf(geometry);
  const rowBytes = <usize>(load<i32>(geometry, WIDTH) * load<i32>(geometry, CHANNELS)) << 2;
  const frameBytes = paddedRowBytes(geometry);
  const first = load<i32>(geometry, PADDING_HEIGHT) * frameBytes
    + (<usize>(load<i32>(geometry, PADDING_WIDTH) * load<i32>(geometry, CHANNELS)) << 2);
  packKernels(geometry, filters, kernel, kernels);
  for (let rest = load<i32>(geometry, IMAGES); rest > 0; rest--, gradient += <usize>(outputPixels(geometry) * filters) << 2) {
    memory.fill(frame, 0, paddedBytes(geometry));
    spread(geometry, filters, gradient, list, kernels, frame);
    let row = frame + first;
    for (let y = load<i32>(geometry, HEIGHT); y > 0; y--, row += frameBytes, output += rowBytes) {
      memory.copy(output, row, rowBytes);
    }
  }
}

/** Transposes [windowHeight, run, filters] to [filters, windowHeight, run]. */
function packKernels(geometry: usize, filters: i32, kernel: usize, target: usize): void {
  const places = load<i32>(geometry, WINDOW_HEIGHT) * runOf(geometry);
  for (let filter = 0; filter < filters; filter++) {
    let from = kernel + (<usize>filter << 2);
    for (let place = 0; place < places; place++, from += <usize>filters << 2, target += 4) store<f32>(target, load<f32>(from));
  }
}

/** Adds each pixel of one gradient, times the kernels, to the places of `frame` under its window. */
function spread(geometry: usize, filters: i32, gradient: usize, list: usize, kernels: usize, frame: usize): void {
  const windowBytes = <u32>windowBytesOf(geometry);
  const runBytes = runBytesOf(geometry);
  const frameBytes = paddedRowBytes(geometry);
  const windowHeight = load<i32>(geometry, WINDOW_HEIGHT);
  const step = <usize>(load<i32>(geometry, STRIDE_WIDTH) * load<i32>(geometry, CHANNELS)) << 2;
  const width = load<i32>(geometry, OUTPUT_WIDTH);
  for (let y = 0; y < load<i32>(geometry, OUTPUT_HEIGHT); y++) {
    let corner = frame + <usize>(y * load<i32>(geometry, STRIDE_HEIGHT)) * frameBytes;
    for (let x = 0; x < width; x++, corner += step, gradient += <usize>filters << 2) {
      const end = listRow<f32>(list, gradient, filters, 0, windowBytes, 0);
      if (end == list) continue;
      let right = kernels;
      let sums = corner;
      for (let row = 0; row < windowHeight; row++, right += runBytes, sums += frameBytes) {
        extendChains(true, list, end, right, sums, runBytes);
      }
    }
  }
}

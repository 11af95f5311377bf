/** Gradients of a convolution that skip the zeros of the output's gradient, bit-identical to the dense ones. */
import { allFinite } from './convert';
import { sparseLanes, workspace, workspaceBytes } from './shared';
import {
  columnListsBytes, extendChains, fewNonzeros, listColumns, listEnd, listRow, listSlack, setListEnd,
} from './sparse';
import { Geometry, padded, paddedRowBytes } from './pool';

// Max pooling leaves three of four pixels without a gradient, and relu even more. sparse-product.ts says why skipping
// is exact.

/** With shorter window rows there is too little work per list entry. */
const shortestRun: i32 = 16;
const smallestGradient: i32 = 1024;

/** Number of values in a row of a window. */
function runOf(geometry: Geometry): i32 {
  return geometry.windowWidth * geometry.channels;
}

/** Bytes of a row of a window, in whole vectors. */
function runBytesOf(geometry: Geometry): usize {
  return <usize>((runOf(geometry) + 3) & ~3) << 2;
}

/** Bytes of a window, its rows in whole vectors. */
function windowBytesOf(geometry: Geometry): usize {
  return <usize>geometry.windowHeight * runBytesOf(geometry);
}

function outputPixels(geometry: Geometry): i32 {
  return geometry.outputHeight * geometry.outputWidth;
}

function listBytesOf(geometry: Geometry): usize {
  return <usize>(outputPixels(geometry) + listSlack) << 3;
}

function paddedBytes(geometry: Geometry): usize {
  return <usize>(geometry.height + 2 * geometry.paddingHeight) * paddedRowBytes(geometry);
}

function isSparse(geometry: Geometry, filters: i32, gradient: usize): bool {
  const size = geometry.images * outputPixels(geometry) * filters;
  return runOf(geometry) >= shortestRun && size >= smallestGradient && fewNonzeros<f32>(gradient, size);
}

/** Whether `sparseKernelGradient` is exact, fits in its memory, and is likely to be faster. */
export function worthSkippingKernelZeros(geometry: Geometry, filters: i32, images: usize, gradient: usize): bool {
  const lists = <usize>sparseLanes * listBytesOf(geometry);
  if (KERNEL_LISTS + lists + <usize>filters * windowBytesOf(geometry) > workspaceBytes()) return false;
  const size = geometry.height * geometry.width * geometry.channels;
  return isSparse(geometry, filters, gradient) && allFinite(images, geometry.images * size);
}

// Memory of the kernel gradient: the memory of `listColumns`, with one column per filter, the lists, and the transposed
// result [filters, windowHeight, run] with rows in whole vectors.
const KERNEL_LISTS: usize = columnListsBytes;

/**
 * Computes `output` [windowHeight, windowWidth, channels, filters] = transposed unfolded(images) x gradient; `frame` is
 * as in `padded`.
 */
export function sparseKernelGradient(
  geometry: Geometry, filters: i32, images: usize, gradient: usize, output: usize, frame: usize,
): void {
  const imageBytes = <usize>(geometry.height * geometry.width * geometry.channels) << 2;
  const gradientBytes = <usize>(outputPixels(geometry) * filters) << 2;
  const windowBytes = windowBytesOf(geometry);
  const transposed = workspace() + KERNEL_LISTS + <usize>sparseLanes * listBytesOf(geometry);
  memory.fill(transposed, 0, <usize>filters * windowBytes);
  for (let rest = geometry.images; rest > 0; rest--, images += imageBytes, gradient += gradientBytes) {
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
function listFilters(geometry: Geometry, lanes: i32, gradient: usize, pixelBytes: usize): void {
  const lists = workspace();
  const listBytes = listBytesOf(geometry);
  for (let lane = 0; lane < lanes; lane++) setListEnd(lists, lane, lists + KERNEL_LISTS + <usize>lane * listBytes);
  const width = geometry.outputWidth;
  const step = <u32>(geometry.strideWidth * geometry.channels) << 2;
  const rowStep = <u32>geometry.strideHeight * <u32>paddedRowBytes(geometry);
  let offset: u32 = 0;
  for (let y = geometry.outputHeight; y > 0; y--, offset += rowStep, gradient += <usize>width * pixelBytes) {
    listColumns<f32>(lists, lanes, gradient, pixelBytes, width, offset, step, 0);
  }
}

/** Adds the windows over `image` in a lane's list, each times its value, to `sums`. */
function addWindows(geometry: Geometry, lane: i32, image: usize, sums: usize): void {
  const list = workspace() + KERNEL_LISTS + <usize>lane * listBytesOf(geometry);
  const end = listEnd(workspace(), lane);
  if (end == list) return;
  const runBytes = runBytesOf(geometry);
  const frameBytes = paddedRowBytes(geometry);
  for (let y = geometry.windowHeight; y > 0; y--, image += frameBytes, sums += runBytes) {
    extendChains(true, list, end, image, sums, runBytes);
  }
}

/** Transposes [filters, windowHeight, run], with rows in whole vectors, to [windowHeight, run, filters]. */
function transposeKernel(geometry: Geometry, filters: i32, source: usize, target: usize): void {
  const windowBytes = windowBytesOf(geometry);
  const run = runOf(geometry);
  const runBytes = runBytesOf(geometry);
  for (let y = geometry.windowHeight; y > 0; y--, source += runBytes) {
    for (let place = 0; place < run; place++) {
      let from = source + (<usize>place << 2);
      for (let filter = 0; filter < filters; filter++, from += windowBytes, target += 4) store<f32>(target, load<f32>(from));
    }
  }
}

/** Whether `sparseInputGradient` is exact, fits in its memory, and is likely to be faster. */
export function worthSkippingInputZeros(geometry: Geometry, filters: i32, gradient: usize, kernel: usize): bool {
  // The sums of a row must be whole vectors: the sums of other pixels follow directly.
  if ((runOf(geometry) & 3) != 0) return false;
  const lists = <usize>(filters + listSlack) << 3;
  if (lists + paddedBytes(geometry) + <usize>filters * windowBytesOf(geometry) + 64 > workspaceBytes()) return false;
  return isSparse(geometry, filters, gradient) && allFinite(kernel, geometry.windowHeight * runOf(geometry) * filters);
}

/**
 * Computes `output` [images, height, width, channels], the gradient of the images. Each pixel of the gradient is added
 * to the places under its window. Pixels are taken in order, which for each place is the order of its chain.
 */
export function sparseInputGradient(
  geometry: Geometry, filters: i32, gradient: usize, kernel: usize, output: usize,
): void {
  const list = workspace();
  const kernels = (list + (<usize>(filters + listSlack) << 3) + 15) & ~15;
  const frame = kernels + <usize>filters * windowBytesOf(geometry);
  const rowBytes = <usize>(geometry.width * geometry.channels) << 2;
  const frameBytes = paddedRowBytes(geometry);
  const first = geometry.paddingHeight * frameBytes
    + (<usize>(geometry.paddingWidth * geometry.channels) << 2);
  packKernels(geometry, filters, kernel, kernels);
  for (let rest = geometry.images; rest > 0; rest--, gradient += <usize>(outputPixels(geometry) * filters) << 2) {
    memory.fill(frame, 0, paddedBytes(geometry));
    spread(geometry, filters, gradient, list, kernels, frame);
    let row = frame + first;
    for (let y = geometry.height; y > 0; y--, row += frameBytes, output += rowBytes) {
      memory.copy(output, row, rowBytes);
    }
  }
}

/** Transposes [windowHeight, run, filters] to [filters, windowHeight, run]. */
function packKernels(geometry: Geometry, filters: i32, kernel: usize, target: usize): void {
  const places = geometry.windowHeight * runOf(geometry);
  for (let filter = 0; filter < filters; filter++) {
    let from = kernel + (<usize>filter << 2);
    for (let place = 0; place < places; place++, from += <usize>filters << 2, target += 4) store<f32>(target, load<f32>(from));
  }
}

/** Adds each pixel of one gradient, times the kernels, to the places of `frame` under its window. */
function spread(geometry: Geometry, filters: i32, gradient: usize, list: usize, kernels: usize, frame: usize): void {
  const windowBytes = <u32>windowBytesOf(geometry);
  const runBytes = runBytesOf(geometry);
  const frameBytes = paddedRowBytes(geometry);
  const windowHeight = geometry.windowHeight;
  const step = <usize>(geometry.strideWidth * geometry.channels) << 2;
  const width = geometry.outputWidth;
  for (let y = 0; y < geometry.outputHeight; y++) {
    let corner = frame + <usize>(y * geometry.strideHeight) * frameBytes;
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

/**
 * Matrix products: packs both operands into panels and multiplies them tile by tile, or skips the zeros of a sparse
 * left operand.
 */
import { convertWaiting, waitingBytes, waitingQuotients } from './convert';
import {
  columnBlock, innerBlock, isWide, packedLeftBytes, packedRightBytes, panelColumns, rowBlock, tileBytes, workspace,
} from './shared';
import { sparseProduct, worthSkippingZeros } from './sparse-product';
import { ADD, CONTINUE, copyTile, packedTile, REPLACE, tileHeight, tileRows } from './tile';
import { vectorProduct } from './vector-product';

// Every output element is one chain over the inner dimension from +0: a later block continues from the stored sum, and
// each element of a tile has its own accumulator. So neither block sizes nor other rows change any bit.

/** Copies four rows of `inner` consecutive values as columns; the values of one column are `step` bytes after the last. */
function packTransposed(target: usize, step: usize, source: usize, rowBytes: usize, inner: i32): void {
  let p0 = source;
  let p1 = p0 + rowBytes;
  let p2 = p1 + rowBytes;
  let p3 = p2 + rowBytes;
  for (; inner >= 4; inner -= 4, p0 += 16, p1 += 16, p2 += 16, p3 += 16) {
    const a = v128.load(p0), b = v128.load(p1), c = v128.load(p2), d = v128.load(p3);
    const low0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), low1 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const high0 = v128.shuffle<f32>(a, b, 2, 6, 3, 7), high1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(target, v128.shuffle<f64>(low0, low1, 0, 2));
    target += step;
    v128.store(target, v128.shuffle<f64>(low0, low1, 1, 3));
    target += step;
    v128.store(target, v128.shuffle<f64>(high0, high1, 0, 2));
    target += step;
    v128.store(target, v128.shuffle<f64>(high0, high1, 1, 3));
    target += step;
  }
  for (; inner > 0; inner--, target += step, p0 += 4, p1 += 4, p2 += 4, p3 += 4) {
    store<f32>(target, load<f32>(p0));
    store<f32>(target, load<f32>(p1), 4);
    store<f32>(target, load<f32>(p2), 8);
    store<f32>(target, load<f32>(p3), 12);
  }
}

/** Packs rows into panels of the tile heights, the inner index outermost; missing rows are 0. */
function packLeft(target: usize, source: usize, rows: i32, inner: i32, rowBytes: usize, innerBytes: usize): void {
  let row = 0;
  while (row < rows) {
    const height = tileHeight(rows - row);
    if (height == 4 && row + 4 <= rows && rowBytes == 4) {
      // Four panels at once use whole cache lines, which may be out of the cache again when the next panel is packed.
      const panels = row + 16 <= rows ? 4 : 1;
      const panelBytes = <usize>inner << 4, twoPanels = 2 * panelBytes;
      let from = source + (<usize>row << 2);
      for (let index = 0; index < inner; index++, target += 16, from += innerBytes) {
        v128.store(target, v128.load(from));
        if (panels == 1) continue;
        v128.store(target + panelBytes, v128.load(from, 16));
        v128.store(target + twoPanels, v128.load(from, 32));
        v128.store(target + twoPanels + panelBytes, v128.load(from, 48));
      }
      target += <usize>(panels - 1) * panelBytes;
      row += panels << 2;
      continue;
    }
    if (height == 4 && row + 4 <= rows && innerBytes == 4) {
      packTransposed(target, 16, source + <usize>row * rowBytes, rowBytes, inner);
      target += <usize>inner << 4;
      row += height;
      continue;
    }
    for (let lane = 0; lane < height; lane++) {
      let to = target + (<usize>lane << 2);
      const step = <usize>height << 2;
      if (row + lane < rows) {
        let from = source + <usize>(row + lane) * rowBytes;
        for (let index = 0; index < inner; index++, to += step, from += innerBytes) store<f32>(to, load<f32>(from));
      } else {
        for (let index = 0; index < inner; index++, to += step) store<f32>(to, 0);
      }
    }
    target += (<usize>height * inner) << 2;
    row += height;
  }
}

/** Packs columns into panels of 8, the inner index outermost; missing columns are 0. */
export function packRight(target: usize, source: usize, columns: i32, inner: i32, columnBytes: usize, innerBytes: usize): void {
  for (let column = 0; column < columns; column += panelColumns) {
    const width = min(panelColumns, columns - column);
    let from = source + <usize>column * columnBytes;
    if (width == panelColumns && columnBytes == 4) {
      for (let index = 0; index < inner; index++, target += 32, from += innerBytes) {
        v128.store(target, v128.load(from, 0), 0);
        v128.store(target, v128.load(from, 16), 16);
      }
      continue;
    }
    if (width == panelColumns && innerBytes == 4) {
      packTransposed(target, 32, from, columnBytes, inner);
      packTransposed(target + 16, 32, from + 4 * columnBytes, columnBytes, inner);
      target += <usize>inner << 5;
      continue;
    }
    for (let lane = 0; lane < panelColumns; lane++) {
      let to = target + (<usize>lane << 2);
      if (lane < width) {
        let at = from + <usize>lane * columnBytes;
        for (let index = 0; index < inner; index++, to += 32, at += innerBytes) store<f32>(to, load<f32>(at));
      } else {
        for (let index = 0; index < inner; index++, to += 32) store<f32>(to, 0);
      }
    }
    target += (<usize>inner) << 5;
  }
}

/**
 * Number of microbatches in a block of k: a power of two, so that the block's sum is a node of the tree, and so large
 * that the sums of at most three blocks are added one after another.
 */
function microbatchesOfBlock(k: i32, microbatches: i32): i32 {
  if (k <= innerBlock) return microbatches;
  let count = 1;
  while (3 * count < microbatches) count <<= 1;
  return count;
}

/** Multiplies dense operands. With microbatches, k is at most 8192, so that blocks fit in the workspace. */
function denseProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, leftRowBytes: usize, leftInnerBytes: usize,
  rightInnerBytes: usize, rightColumnBytes: usize, microbatches: i32, output: usize, bias: usize, relu: bool,
): void {
  const whole = microbatches > 1;
  const size = k / microbatches;
  const innerStep = whole ? microbatchesOfBlock(k, microbatches) * size : innerBlock;
  const rowStep = whole ? (<i32>(packedLeftBytes >> 2) / innerStep) & ~(tileRows - 1) : rowBlock;
  const columnStep = whole ? (<i32>(packedRightBytes >> 2) / innerStep) & ~(2 * panelColumns - 1) : columnBlock;
  const packedLeft = workspace();
  const packedRight = packedLeft + packedLeftBytes;
  const edge = packedRight + packedRightBytes;
  const stack = edge + tileBytes;
  const outputBytes = <usize>n << 2;
  // Wide tiles read rows of consecutive values where they are; other tiles are faster with packed values.
  const direct = isWide() && leftInnerBytes == 4 && m % tileRows == 0 && n % (2 * panelColumns) == 0;
  for (let column = 0; column < n; column += columnStep) {
    const columns = min(columnStep, n - column);
    for (let start = 0; start < k; start += innerStep) {
      const inner = min(innerStep, k - start);
      const onto = start == 0 ? REPLACE : whole ? ADD : CONTINUE;
      const last = start + inner == k;
      const panelBytes = (<usize>inner * panelColumns) << 2;
      const sums = whole ? inner / size : 1;
      const rightBlock = right + <usize>column * rightColumnBytes + <usize>start * rightInnerBytes;
      packRight(packedRight, rightBlock, columns, inner, rightColumnBytes, rightInnerBytes);
      for (let row = 0; row < m; row += rowStep) {
        const rows = min(rowStep, m - row);
        const leftBlock = left + <usize>row * leftRowBytes + <usize>start * leftInnerBytes;
        if (!direct) packLeft(packedLeft, leftBlock, rows, inner, leftRowBytes, leftInnerBytes);
        for (let panel = 0; panel < columns; ) {
          const wide = isWide() && panel + panelColumns < columns;
          const width = min(wide ? 2 * panelColumns : panelColumns, columns - panel);
          const rightPanel = packedRight + ((<usize>panel * inner) << 2);
          let leftPanel = direct ? leftBlock : packedLeft;
          let c = output + <usize>row * outputBytes + (<usize>(column + panel) << 2);
          for (let at = 0; at < rows; ) {
            const height = tileHeight(rows - at);
            const valid = min(height, rows - at);
            const tileWidth = wide && height == tileRows ? 2 * panelColumns : panelColumns;
            for (let from = 0; from < width; from += tileWidth) {
              const offset = <usize>from << 2;
              const cut = min(tileWidth, width - from);
              const fits = cut == tileWidth && valid == height;
              const target = fits ? c + offset : edge;
              const targetBytes = fits ? outputBytes : <usize>tileWidth << 2;
              if (onto != REPLACE && !fits) copyTile(edge, targetBytes, c + offset, outputBytes, valid, cut);
              const added = last && bias != 0 ? bias + (<usize>(column + panel + from) << 2) : 0;
              packedTile(
                height, tileWidth > panelColumns, leftPanel, direct ? leftRowBytes : 4, direct ? 4 : 4 * tileRows,
                rightPanel + offset * inner, panelBytes, sums, inner / sums, target, targetBytes, onto, added, last && relu, stack,
              );
              if (!fits) copyTile(c + offset, outputBytes, edge, targetBytes, valid, cut);
            }
            leftPanel += direct ? <usize>height * leftRowBytes : (<usize>height * inner) << 2;
            c += <usize>height * outputBytes;
            at += height;
          }
          panel += width;
        }
      }
    }
  }
}

/** Writes the product for k = 0: `output[row] = bias`, after relu if `relu` is set. */
function emptyProduct(m: i32, n: i32, output: usize, bias: usize, relu: bool): void {
  for (let row = 0; row < m; row++) {
    for (let at: usize = 0; at < <usize>n << 2; at += 4, output += 4) {
      const value: f32 = bias != 0 ? load<f32>(bias + at) : 0;
      store<f32>(output, relu ? max(value, 0) : value);
    }
  }
}

/**
 * Computes one product. If `operand` is not 0, the left values, which are contiguous, may be pending bytes (see
 * convert.ts), which are converted if needed.
 */
function product(
  m: i32, k: i32, n: i32, left: usize, right: usize, leftRowBytes: usize, leftInnerBytes: usize,
  rightInnerBytes: usize, rightColumnBytes: usize, microbatches: i32, output: usize, bias: usize, relu: bool,
  operand: usize,
): void {
  if (k == 0) {
    emptyProduct(m, n, output, bias, relu);
    return;
  }
  const quotients = operand == 0 ? 0 : waitingQuotients(operand);
  const values = quotients == 0 ? left : waitingBytes(left, m * k);
  const byRows = leftInnerBytes == 4 && leftRowBytes == <usize>k << 2;
  const isDense = byRows || (leftRowBytes == 4 && leftInnerBytes == <usize>m << 2);
  const mayBeSparse = isDense && rightColumnBytes == 4 && rightInnerBytes == <usize>n << 2;
  if (mayBeSparse && worthSkippingZeros(m, k, n, values, quotients, right)) {
    sparseProduct(m, k, n, values, quotients, right, !byRows, microbatches, output, bias, relu);
  } else {
    if (quotients != 0) convertWaiting(operand, left, m * k);
    const isComputed = microbatches == 1 && vectorProduct(
      m, k, n, left, right, leftRowBytes, leftInnerBytes, rightInnerBytes, rightColumnBytes, output, bias, relu,
    );
    if (isComputed) return;
    denseProduct(
      m, k, n, left, right, leftRowBytes, leftInnerBytes, rightInnerBytes, rightColumnBytes, microbatches, output, bias, relu,
    );
  }
}

/**
 * Computes `output[m, n] = left x right`; the operands have strides in bytes. The sums over k are per microbatch, one or
 * more of equal size (`Microbatches` in src/backend.ts). Then `bias` [n], unless it is 0, is added to each row, and relu
 * is applied if `relu` is set. More than one microbatch excludes bias and relu and requires k to be at most 8192.
 *
 * If `batch` is not 0, there is one product for each element of the batch. Its 32-bit words are written by
 * src/backends/cpu/programs.ts: number of axes, number of products; per axis its size, the strides of left and right, and
 * the running index.
 */
export function matmul(
  m: i32, k: i32, n: i32, left: usize, right: usize, leftRowBytes: usize, leftInnerBytes: usize,
  rightInnerBytes: usize, rightColumnBytes: usize, microbatches: i32, output: usize, bias: usize, relu: bool,
  operand: usize, batch: usize,
): void {
  const rank = batch == 0 ? 0 : load<i32>(batch);
  const products = batch == 0 ? 1 : load<i32>(batch, 4);
  const axes = batch + 8;
  for (let axis = 0; axis < rank; axis++) store<i32>(axes + (<usize>axis << 4), 0, 12);
  for (let index = 0; index < products; index++, output += <usize>(m * n) << 2) {
    product(
      m, k, n, left, right, leftRowBytes, leftInnerBytes, rightInnerBytes, rightColumnBytes, microbatches, output, bias, relu,
      operand,
    );
    for (let axis = rank - 1; axis >= 0; axis--) {
      const at = axes + (<usize>axis << 4);
      const length = load<u32>(at, 0), leftBytes = load<u32>(at, 4), rightBytes = load<u32>(at, 8);
      const next = load<u32>(at, 12) + 1;
      left += leftBytes;
      right += rightBytes;
      if (next < length) {
        store<u32>(at, next, 12);
        break;
      }
      left -= leftBytes * length;
      right -= rightBytes * length;
      store<u32>(at, 0, 12);
    }
  }
}

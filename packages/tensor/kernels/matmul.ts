/** Matrix products: packs both operands into panels and multiplies them tile by tile, or skips a sparse left operand's zeros. */
import { compressedProduct, worthCompressing } from './compressed';
import { columnBlock, innerBlock, packedLeftBytes, packedRightBytes, panelColumns, rowBlock } from './sizes';
import { workspace } from './workspace';

// Every output element is one chain over the inner dimension from +0: a later block of it goes on from the value
// that the earlier one stored, and each row and column of a tile has its own accumulators. Therefore neither the blocks
// nor the other rows change a bit.

/** Height of the next tile when `rows` are left: full tiles of 6, then the smallest of 4, 2, 1 that holds the rest. */
export function tileHeight(rows: i32): i32 {
  if (rows >= 5) return 6;
  if (rows >= 3) return 4;
  return rows;
}

/** Packs rows into panels of the tile heights, the inner index outermost; rows that do not exist are 0. */
function packLeft(target: usize, source: usize, rows: i32, inner: i32, rowBytes: usize, innerBytes: usize): void {
  let row = 0;
  while (row < rows) {
    const height = tileHeight(rows - row);
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

/** Packs columns into panels of 8, the inner index outermost; columns that do not exist are 0. */
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

/** One tile of `height` x 8. `height` is constant where this is inlined, and the unused accumulators vanish. */
// @ts-ignore: decorator
@inline function tile(height: i32, left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0);
  let c40 = f32x4.splat(0.0), c41 = f32x4.splat(0.0);
  let c50 = f32x4.splat(0.0), c51 = f32x4.splat(0.0);
  if (goOn) {
    let row = c;
    c00 = v128.load(row, 0); c01 = v128.load(row, 16); row += rowBytes;
    if (height > 1) { c10 = v128.load(row, 0); c11 = v128.load(row, 16); row += rowBytes; }
    if (height > 2) { c20 = v128.load(row, 0); c21 = v128.load(row, 16); row += rowBytes; }
    if (height > 3) { c30 = v128.load(row, 0); c31 = v128.load(row, 16); row += rowBytes; }
    if (height > 4) { c40 = v128.load(row, 0); c41 = v128.load(row, 16); row += rowBytes; }
    if (height > 5) { c50 = v128.load(row, 0); c51 = v128.load(row, 16); }
  }
  const end = right + (<usize>inner << 5);
  while (right < end) {
    const b0 = v128.load(right, 0);
    const b1 = v128.load(right, 16);
    let a = v128.load32_splat(left, 0);
    c00 = f32x4.add(c00, f32x4.mul(a, b0)); c01 = f32x4.add(c01, f32x4.mul(a, b1));
    if (height > 1) { a = v128.load32_splat(left, 4); c10 = f32x4.add(c10, f32x4.mul(a, b0)); c11 = f32x4.add(c11, f32x4.mul(a, b1)); }
    if (height > 2) { a = v128.load32_splat(left, 8); c20 = f32x4.add(c20, f32x4.mul(a, b0)); c21 = f32x4.add(c21, f32x4.mul(a, b1)); }
    if (height > 3) { a = v128.load32_splat(left, 12); c30 = f32x4.add(c30, f32x4.mul(a, b0)); c31 = f32x4.add(c31, f32x4.mul(a, b1)); }
    if (height > 4) { a = v128.load32_splat(left, 16); c40 = f32x4.add(c40, f32x4.mul(a, b0)); c41 = f32x4.add(c41, f32x4.mul(a, b1)); }
    if (height > 5) { a = v128.load32_splat(left, 20); c50 = f32x4.add(c50, f32x4.mul(a, b0)); c51 = f32x4.add(c51, f32x4.mul(a, b1)); }
    right += 32;
    left += <usize>height << 2;
  }
  let row = c;
  v128.store(row, c00, 0); v128.store(row, c01, 16); row += rowBytes;
  if (height > 1) { v128.store(row, c10, 0); v128.store(row, c11, 16); row += rowBytes; }
  if (height > 2) { v128.store(row, c20, 0); v128.store(row, c21, 16); row += rowBytes; }
  if (height > 3) { v128.store(row, c30, 0); v128.store(row, c31, 16); row += rowBytes; }
  if (height > 4) { v128.store(row, c40, 0); v128.store(row, c41, 16); row += rowBytes; }
  if (height > 5) { v128.store(row, c50, 0); v128.store(row, c51, 16); }
}

function tile6(left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  tile(6, left, right, inner, c, rowBytes, goOn);
}

function tile4(left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  tile(4, left, right, inner, c, rowBytes, goOn);
}

function tile2(left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  tile(2, left, right, inner, c, rowBytes, goOn);
}

function tile1(left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  tile(1, left, right, inner, c, rowBytes, goOn);
}

function tileOf(height: i32, left: usize, right: usize, inner: i32, c: usize, rowBytes: usize, goOn: bool): void {
  if (height == 6) tile6(left, right, inner, c, rowBytes, goOn);
  else if (height == 4) tile4(left, right, inner, c, rowBytes, goOn);
  else if (height == 2) tile2(left, right, inner, c, rowBytes, goOn);
  else tile1(left, right, inner, c, rowBytes, goOn);
}

/** At most 8 columns: a call of memory.copy for each row would cost more than the copying. */
export function copyTile(
  target: usize, targetBytes: usize, source: usize, sourceBytes: usize, rows: i32, columns: i32,
): void {
  for (let row = 0; row < rows; row++, target += targetBytes, source += sourceBytes) {
    const end = source + (<usize>columns << 2);
    for (let from = source, to = target; from < end; from += 4, to += 4) store<f32>(to, load<f32>(from));
  }
}

function denseProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, transposeLeft: bool, transposeRight: bool, output: usize,
): void {
  const packedLeft = workspace();
  const packedRight = packedLeft + packedLeftBytes;
  const edge = packedRight + packedRightBytes;
  const leftRowBytes = transposeLeft ? 4 : <usize>k << 2;
  const leftInnerBytes = transposeLeft ? <usize>m << 2 : 4;
  const rightColumnBytes = transposeRight ? <usize>k << 2 : 4;
  const rightInnerBytes = transposeRight ? 4 : <usize>n << 2;
  const outputBytes = <usize>n << 2;
  for (let column = 0; column < n; column += columnBlock) {
    const columns = min(columnBlock, n - column);
    for (let start = 0; start < k; start += innerBlock) {
      const inner = min(innerBlock, k - start);
      const goOn = start > 0;
      const rightBlock = right + <usize>column * rightColumnBytes + <usize>start * rightInnerBytes;
      packRight(packedRight, rightBlock, columns, inner, rightColumnBytes, rightInnerBytes);
      for (let row = 0; row < m; row += rowBlock) {
        const rows = min(rowBlock, m - row);
        const leftBlock = left + <usize>row * leftRowBytes + <usize>start * leftInnerBytes;
        packLeft(packedLeft, leftBlock, rows, inner, leftRowBytes, leftInnerBytes);
        for (let panel = 0; panel < columns; panel += panelColumns) {
          const width = min(panelColumns, columns - panel);
          const rightPanel = packedRight + ((<usize>panel * inner) << 2);
          let leftPanel = packedLeft;
          let c = output + <usize>row * outputBytes + (<usize>(column + panel) << 2);
          for (let at = 0; at < rows; ) {
            const height = tileHeight(rows - at);
            const valid = min(height, rows - at);
            if (width == panelColumns && valid == height) {
              tileOf(height, leftPanel, rightPanel, inner, c, outputBytes, goOn);
            } else {
              if (goOn) copyTile(edge, 32, c, outputBytes, valid, width);
              tileOf(height, leftPanel, rightPanel, inner, edge, 32, goOn);
              copyTile(c, outputBytes, edge, 32, valid, width);
            }
            leftPanel += (<usize>height * inner) << 2;
            c += <usize>height * outputBytes;
            at += height;
          }
        }
      }
    }
  }
}

/** `output[m, n] = left x right`; a transposed operand is stored as [k, m] or [n, k]. */
export function matmul(
  m: i32, k: i32, n: i32, left: usize, right: usize, transposeLeft: bool, transposeRight: bool, output: usize,
): void {
  if (k == 0) {
    memory.fill(output, 0, (<usize>m * n) << 2);
  } else if (!transposeRight && worthCompressing(m, k, n, left, right)) {
    compressedProduct(m, k, n, left, right, transposeLeft, output);
  } else {
    denseProduct(m, k, n, left, right, transposeLeft, transposeRight, output);
  }
}

/** Matrix products whose inner dimension is summed in segments, the segments' sums added in pairs: `Microbatches` in src/backend.ts. */
import { compressedProduct, worthCompressing } from './compressed';
import { packLeft, packRight } from './matmul';
import { multiplyAdd } from './multiply-add';
import { packedLeftBytes, packedRightBytes, panelColumns, tileBytes } from './sizes';
import { copyTile, tileHeight, tileRows } from './tile';
import { workspace } from './workspace';

/** `output[m, n]`: the sum over k of `left` [k, m] transposed times `right` [k, n], in `segments` equal runs of k, at most 8192. */
export function matmulInSegments(
  m: i32, k: i32, n: i32, left: usize, right: usize, segments: i32, output: usize,
): void {
  if (k == 0) memory.fill(output, 0, <usize>(m * n) << 2);
  else if (worthCompressing(m, k, n, left, right)) compressedProduct(m, k, n, left, right, true, segments, output, 0, false);
  else denseInSegments(m, k, n, left, right, segments, output);
}

// @ts-ignore: decorator
@inline function segmentTile(
  height: i32, left: usize, right: usize, segments: i32, size: i32, c: usize, rowBytes: usize, stack: usize,
): void {
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0);
  const run = <usize>(size * height) << 2;
  let top = stack;
  for (let segment = 1; segment <= segments; segment++) {
    c00 = f32x4.splat(0.0); c01 = f32x4.splat(0.0);
    if (height > 1) { c10 = f32x4.splat(0.0); c11 = f32x4.splat(0.0); }
    if (height > 2) { c20 = f32x4.splat(0.0); c21 = f32x4.splat(0.0); }
    if (height > 3) { c30 = f32x4.splat(0.0); c31 = f32x4.splat(0.0); }
    for (const end = left + run; left != end; left += <usize>height << 2, right += 32) {
      const b0 = v128.load(right, 0);
      const b1 = v128.load(right, 16);
      let a = v128.load32_splat(left);
      c00 = multiplyAdd(c00, a, b0); c01 = multiplyAdd(c01, a, b1);
      if (height > 1) { a = v128.load32_splat(left, 4); c10 = multiplyAdd(c10, a, b0); c11 = multiplyAdd(c11, a, b1); }
      if (height > 2) { a = v128.load32_splat(left, 8); c20 = multiplyAdd(c20, a, b0); c21 = multiplyAdd(c21, a, b1); }
      if (height > 3) { a = v128.load32_splat(left, 12); c30 = multiplyAdd(c30, a, b0); c31 = multiplyAdd(c31, a, b1); }
    }
    // As a binary counter carries: so many pairs are complete.
    let complete = segment == segments ? <i32>((top - stack) >> 7) : ctz(segment);
    for (; complete > 0; complete--) {
      top -= 128;
      c00 = f32x4.add(v128.load(top, 0), c00); c01 = f32x4.add(v128.load(top, 16), c01);
      if (height > 1) { c10 = f32x4.add(v128.load(top, 32), c10); c11 = f32x4.add(v128.load(top, 48), c11); }
      if (height > 2) { c20 = f32x4.add(v128.load(top, 64), c20); c21 = f32x4.add(v128.load(top, 80), c21); }
      if (height > 3) { c30 = f32x4.add(v128.load(top, 96), c30); c31 = f32x4.add(v128.load(top, 112), c31); }
    }
    if (segment == segments) break;
    v128.store(top, c00, 0); v128.store(top, c01, 16);
    if (height > 1) { v128.store(top, c10, 32); v128.store(top, c11, 48); }
    if (height > 2) { v128.store(top, c20, 64); v128.store(top, c21, 80); }
    if (height > 3) { v128.store(top, c30, 96); v128.store(top, c31, 112); }
    top += 128;
  }
  v128.store(c, c00, 0); v128.store(c, c01, 16); c += rowBytes;
  if (height > 1) { v128.store(c, c10, 0); v128.store(c, c11, 16); c += rowBytes; }
  if (height > 2) { v128.store(c, c20, 0); v128.store(c, c21, 16); c += rowBytes; }
  if (height > 3) { v128.store(c, c30, 0); v128.store(c, c31, 16); }
}

function segmentTileOf(
  height: i32, left: usize, right: usize, segments: i32, size: i32, c: usize, rowBytes: usize, stack: usize,
): void {
  if (height == 4) segmentTile(4, left, right, segments, size, c, rowBytes, stack);
  else if (height == 2) segmentTile(2, left, right, segments, size, c, rowBytes, stack);
  else segmentTile(1, left, right, segments, size, c, rowBytes, stack);
}

/** Both operands are packed over the whole of k, so that a tile's sums need no room but the registers and a small stack. */
function denseInSegments(m: i32, k: i32, n: i32, left: usize, right: usize, segments: i32, output: usize): void {
  const size = k / segments;
  const rowBlock = (<i32>(packedLeftBytes >> 2) / k) & ~(tileRows - 1);
  const columnBlock = (<i32>(packedRightBytes >> 2) / k) & ~(panelColumns - 1);
  const packedLeft = workspace();
  const packedRight = packedLeft + packedLeftBytes;
  const edge = packedRight + packedRightBytes;
  const stack = edge + tileBytes;
  const outputBytes = <usize>n << 2;
  for (let column = 0; column < n; column += columnBlock) {
    const columns = min(columnBlock, n - column);
    packRight(packedRight, right + (<usize>column << 2), columns, k, 4, outputBytes);
    for (let row = 0; row < m; row += rowBlock) {
      const rows = min(rowBlock, m - row);
      packLeft(packedLeft, left + (<usize>row << 2), rows, k, 4, <usize>m << 2);
      for (let panel = 0; panel < columns; panel += panelColumns) {
        const width = min(panelColumns, columns - panel);
        const rightPanel = packedRight + ((<usize>panel * k) << 2);
        let leftPanel = packedLeft;
        let c = output + <usize>row * outputBytes + (<usize>(column + panel) << 2);
        for (let at = 0; at < rows; ) {
          const height = tileHeight(rows - at);
          const valid = min(height, rows - at);
          if (width == panelColumns && valid == height) {
            segmentTileOf(height, leftPanel, rightPanel, segments, size, c, outputBytes, stack);
          } else {
            segmentTileOf(height, leftPanel, rightPanel, segments, size, edge, 32, stack);
            copyTile(c, outputBytes, edge, 32, valid, width);
          }
          leftPanel += (<usize>height * k) << 2;
          c += <usize>height * outputBytes;
          at += height;
        }
      }
    }
  }
}

/** The register tiles that all matrix products are built from. */
import { multiplyAdd } from './shared';

// Engines leave 15 vector registers on x64, and V8 moves all loads of a block before its arithmetic: 8 sums, 2 vectors
// of the right operand, 4 of the left and a product just fit. Spilling a sum costs more than a larger tile saves.

/** One row of zeros. */
const zeros = memory.data(64, 16);

/** Rows of the largest tile. */
export const tileRows: i32 = 4;

/**
 * Computes one tile of a product, `height` x 8, or `height` x 16 if `wide` is set. Row i is a chain over `outer` runs of
 * `inner` left values. The values begin at pi, `step` bytes apart, with `skip` more bytes between runs. Each is multiplied
 * by 8 right values, `rightStep` bytes apart; the 8 of a wide tile's second half are `panelBytes` after them. If
 * `accumulate` is set, the chains continue from the values at `c`. At the end the values at `bias`, unless it is 0, are
 * added to each row, and relu is applied if `relu` is set.
 *
 * `height` and `wide` are constants after inlining, so the unused accumulators vanish.
 */
// @ts-ignore: decorator
@inline export function tile(
  height: i32, wide: bool, p0: usize, p1: usize, p2: usize, p3: usize,
  outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize, panelBytes: usize,
  c: usize, rowBytes: usize, accumulate: bool, bias: usize, relu: bool,
): void {
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0), c02 = f32x4.splat(0.0), c03 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0), c12 = f32x4.splat(0.0), c13 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0), c22 = f32x4.splat(0.0), c23 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0), c32 = f32x4.splat(0.0), c33 = f32x4.splat(0.0);
  let row = c;
  if (accumulate) {
    c00 = v128.load(row, 0); c01 = v128.load(row, 16); if (wide) { c02 = v128.load(row, 32); c03 = v128.load(row, 48); } row += rowBytes;
    if (height > 1) { c10 = v128.load(row, 0); c11 = v128.load(row, 16); if (wide) { c12 = v128.load(row, 32); c13 = v128.load(row, 48); } row += rowBytes; }
    if (height > 2) { c20 = v128.load(row, 0); c21 = v128.load(row, 16); if (wide) { c22 = v128.load(row, 32); c23 = v128.load(row, 48); } row += rowBytes; }
    if (height > 3) { c30 = v128.load(row, 0); c31 = v128.load(row, 16); if (wide) { c32 = v128.load(row, 32); c33 = v128.load(row, 48); } }
    row = c;
  }
  const run = <usize>inner * step;
  for (; outer > 0; outer--) {
    for (const end = p0 + run; p0 != end; p0 += step, right += rightStep) {
      const b0 = v128.load(right, 0), b1 = v128.load(right, 16);
      const next = right + panelBytes;
      const b2 = wide ? v128.load(next, 0) : b0, b3 = wide ? v128.load(next, 16) : b0;
      let a = v128.load32_splat(p0);
      c00 = multiplyAdd(c00, a, b0); c01 = multiplyAdd(c01, a, b1);
      if (wide) { c02 = multiplyAdd(c02, a, b2); c03 = multiplyAdd(c03, a, b3); }
      if (height > 1) {
        a = v128.load32_splat(p1); p1 += step;
        c10 = multiplyAdd(c10, a, b0); c11 = multiplyAdd(c11, a, b1);
        if (wide) { c12 = multiplyAdd(c12, a, b2); c13 = multiplyAdd(c13, a, b3); }
      }
      if (height > 2) {
        a = v128.load32_splat(p2); p2 += step;
        c20 = multiplyAdd(c20, a, b0); c21 = multiplyAdd(c21, a, b1);
        if (wide) { c22 = multiplyAdd(c22, a, b2); c23 = multiplyAdd(c23, a, b3); }
      }
      if (height > 3) {
        a = v128.load32_splat(p3); p3 += step;
        c30 = multiplyAdd(c30, a, b0); c31 = multiplyAdd(c31, a, b1);
        if (wide) { c32 = multiplyAdd(c32, a, b2); c33 = multiplyAdd(c33, a, b3); }
      }
    }
    p0 += skip;
    p1 += skip; p2 += skip; p3 += skip;
  }
  finishTile(
    height, wide, row, rowBytes, bias, relu,
    c00, c01, c02, c03,
    c10, c11, c12, c13,
    c20, c21, c22, c23,
    c30, c31, c32, c33,
  );
}

/** Adds the values at `bias`, unless it is 0, to the rows of a tile, applies relu if it is set, and stores them at `row`. */
// @ts-ignore: decorator
@inline function finishTile(
  height: i32, wide: bool, row: usize, rowBytes: usize, bias: usize, relu: bool,
  c00: v128, c01: v128, c02: v128, c03: v128,
  c10: v128, c11: v128, c12: v128, c13: v128,
  c20: v128, c21: v128, c22: v128, c23: v128,
  c30: v128, c31: v128, c32: v128, c33: v128,
): void {
  if (bias != 0) {
    const d0 = v128.load(bias, 0), d1 = v128.load(bias, 16);
    const d2 = wide ? v128.load(bias, 32) : d0, d3 = wide ? v128.load(bias, 48) : d0;
    c00 = f32x4.add(c00, d0); c01 = f32x4.add(c01, d1); if (wide) { c02 = f32x4.add(c02, d2); c03 = f32x4.add(c03, d3); }
    if (height > 1) { c10 = f32x4.add(c10, d0); c11 = f32x4.add(c11, d1); if (wide) { c12 = f32x4.add(c12, d2); c13 = f32x4.add(c13, d3); } }
    if (height > 2) { c20 = f32x4.add(c20, d0); c21 = f32x4.add(c21, d1); if (wide) { c22 = f32x4.add(c22, d2); c23 = f32x4.add(c23, d3); } }
    if (height > 3) { c30 = f32x4.add(c30, d0); c31 = f32x4.add(c31, d1); if (wide) { c32 = f32x4.add(c32, d2); c33 = f32x4.add(c33, d3); } }
  }
  if (relu) {
    const zero = f32x4.splat(0.0);
    c00 = f32x4.max(c00, zero); c01 = f32x4.max(c01, zero); if (wide) { c02 = f32x4.max(c02, zero); c03 = f32x4.max(c03, zero); }
    if (height > 1) { c10 = f32x4.max(c10, zero); c11 = f32x4.max(c11, zero); if (wide) { c12 = f32x4.max(c12, zero); c13 = f32x4.max(c13, zero); } }
    if (height > 2) { c20 = f32x4.max(c20, zero); c21 = f32x4.max(c21, zero); if (wide) { c22 = f32x4.max(c22, zero); c23 = f32x4.max(c23, zero); } }
    if (height > 3) { c30 = f32x4.max(c30, zero); c31 = f32x4.max(c31, zero); if (wide) { c32 = f32x4.max(c32, zero); c33 = f32x4.max(c33, zero); } }
  }
  v128.store(row, c00, 0); v128.store(row, c01, 16); if (wide) { v128.store(row, c02, 32); v128.store(row, c03, 48); } row += rowBytes;
  if (height > 1) { v128.store(row, c10, 0); v128.store(row, c11, 16); if (wide) { v128.store(row, c12, 32); v128.store(row, c13, 48); } row += rowBytes; }
  if (height > 2) { v128.store(row, c20, 0); v128.store(row, c21, 16); if (wide) { v128.store(row, c22, 32); v128.store(row, c23, 48); } row += rowBytes; }
  if (height > 3) { v128.store(row, c30, 0); v128.store(row, c31, 16); if (wide) { v128.store(row, c32, 32); v128.store(row, c33, 48); } }
}

/** Height of the next tile if `rows` remain: full tiles of 4, then the smallest of 4, 2, 1 that holds the rest. */
export function tileHeight(rows: i32): i32 {
  return rows >= 3 ? 4 : rows;
}

/** Copies a tile of at most 8 columns: a memory.copy call per row would cost more than the copy. */
export function copyTile(
  target: usize, targetBytes: usize, source: usize, sourceBytes: usize, rows: i32, columns: i32,
): void {
  for (let row = 0; row < rows; row++, target += targetBytes, source += sourceBytes) {
    const end = source + (<usize>columns << 2);
    for (let from = source, to = target; from < end; from += 4, to += 4) store<f32>(to, load<f32>(from));
  }
}

/** Uses of the values at a tile: they are replaced, they begin its chains, or its sums are added to them. */
export const REPLACE: i32 = 0, CONTINUE: i32 = 1, ADD: i32 = 2;

/**
 * Computes a tile of packed operands, `height` x 8, or `height` x 16 if `wide` is set: then the right operand is two
 * panels, `panelBytes` apart. Both are constants after inlining, so the unused accumulators vanish. The left values of
 * row i begin `i * leftRow` bytes after `left`, `step` bytes apart; only a wide tile can have them elsewhere than packed.
 *
 * Each element has a chain over `size` values for each microbatch; the sums are added as a tree. Only the chain of a
 * single microbatch can continue from the value at `c`. `stack` has `tileStackBytes`.
 */
// @ts-ignore: decorator
@inline function packedTileOf(
  height: i32, wide: bool, left: usize, leftRow: usize, step: usize, right: usize, panelBytes: usize, microbatches: i32,
  size: i32, c: usize, rowBytes: usize, onto: i32, bias: usize, relu: bool, stack: usize,
): void {
  let left1 = left + leftRow, left2 = left1 + leftRow, left3 = left2 + leftRow;
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0), c02 = f32x4.splat(0.0), c03 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0), c12 = f32x4.splat(0.0), c13 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0), c22 = f32x4.splat(0.0), c23 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0), c32 = f32x4.splat(0.0), c33 = f32x4.splat(0.0);
  // Loads in a branch would not become one vector.
  let row = onto == CONTINUE ? c : zeros;
  const before = onto == CONTINUE ? rowBytes : 0;
  c00 = v128.load(row, 0); c01 = v128.load(row, 16); if (wide) { c02 = v128.load(row, 32); c03 = v128.load(row, 48); } row += before;
  if (height > 1) { c10 = v128.load(row, 0); c11 = v128.load(row, 16); if (wide) { c12 = v128.load(row, 32); c13 = v128.load(row, 48); } row += before; }
  if (height > 2) { c20 = v128.load(row, 0); c21 = v128.load(row, 16); if (wide) { c22 = v128.load(row, 32); c23 = v128.load(row, 48); } row += before; }
  if (height > 3) { c30 = v128.load(row, 0); c31 = v128.load(row, 16); if (wide) { c32 = v128.load(row, 32); c33 = v128.load(row, 48); } }
  row = c;
  const run = <usize>size * step;
  let top = stack;
  for (let microbatch = 1; ; microbatch++) {
    for (const end = left + run; left != end; left += step, right += 32) {
      const b0 = v128.load(right, 0), b1 = v128.load(right, 16);
      const next = right + panelBytes;
      const b2 = wide ? v128.load(next, 0) : b0, b3 = wide ? v128.load(next, 16) : b0;
      let a = v128.load32_splat(left);
      c00 = multiplyAdd(c00, a, b0); c01 = multiplyAdd(c01, a, b1);
      if (wide) { c02 = multiplyAdd(c02, a, b2); c03 = multiplyAdd(c03, a, b3); }
      if (height > 1) {
        if (wide) { a = v128.load32_splat(left1); left1 += step; } else a = v128.load32_splat(left, 4);
        c10 = multiplyAdd(c10, a, b0); c11 = multiplyAdd(c11, a, b1);
        if (wide) { c12 = multiplyAdd(c12, a, b2); c13 = multiplyAdd(c13, a, b3); }
      }
      if (height > 2) {
        if (wide) { a = v128.load32_splat(left2); left2 += step; } else a = v128.load32_splat(left, 8);
        c20 = multiplyAdd(c20, a, b0); c21 = multiplyAdd(c21, a, b1);
        if (wide) { c22 = multiplyAdd(c22, a, b2); c23 = multiplyAdd(c23, a, b3); }
      }
      if (height > 3) {
        if (wide) { a = v128.load32_splat(left3); left3 += step; } else a = v128.load32_splat(left, 12);
        c30 = multiplyAdd(c30, a, b0); c31 = multiplyAdd(c31, a, b1);
        if (wide) { c32 = multiplyAdd(c32, a, b2); c33 = multiplyAdd(c33, a, b3); }
      }
    }
    if (microbatches == 1) break;
    // additionsAfter in src/backends/calls.ts: the carries of a binary counter; at the end all remaining sums.
    let additions = microbatch == microbatches ? <i32>((top - stack) >> 8) : ctz(microbatch);
    for (; additions > 0; additions--) {
      top -= 256;
      c00 = f32x4.add(v128.load(top, 0), c00); c01 = f32x4.add(v128.load(top, 16), c01); if (wide) { c02 = f32x4.add(v128.load(top, 32), c02); c03 = f32x4.add(v128.load(top, 48), c03); }
      if (height > 1) { c10 = f32x4.add(v128.load(top, 64), c10); c11 = f32x4.add(v128.load(top, 80), c11); if (wide) { c12 = f32x4.add(v128.load(top, 96), c12); c13 = f32x4.add(v128.load(top, 112), c13); } }
      if (height > 2) { c20 = f32x4.add(v128.load(top, 128), c20); c21 = f32x4.add(v128.load(top, 144), c21); if (wide) { c22 = f32x4.add(v128.load(top, 160), c22); c23 = f32x4.add(v128.load(top, 176), c23); } }
      if (height > 3) { c30 = f32x4.add(v128.load(top, 192), c30); c31 = f32x4.add(v128.load(top, 208), c31); if (wide) { c32 = f32x4.add(v128.load(top, 224), c32); c33 = f32x4.add(v128.load(top, 240), c33); } }
    }
    if (microbatch == microbatches) break;
    v128.store(top, c00, 0); v128.store(top, c01, 16); if (wide) { v128.store(top, c02, 32); v128.store(top, c03, 48); }
    if (height > 1) { v128.store(top, c10, 64); v128.store(top, c11, 80); if (wide) { v128.store(top, c12, 96); v128.store(top, c13, 112); } }
    if (height > 2) { v128.store(top, c20, 128); v128.store(top, c21, 144); if (wide) { v128.store(top, c22, 160); v128.store(top, c23, 176); } }
    if (height > 3) { v128.store(top, c30, 192); v128.store(top, c31, 208); if (wide) { v128.store(top, c32, 224); v128.store(top, c33, 240); } }
    top += 256;
    c00 = f32x4.splat(0.0); c01 = f32x4.splat(0.0); if (wide) { c02 = f32x4.splat(0.0); c03 = f32x4.splat(0.0); }
    if (height > 1) { c10 = f32x4.splat(0.0); c11 = f32x4.splat(0.0); if (wide) { c12 = f32x4.splat(0.0); c13 = f32x4.splat(0.0); } }
    if (height > 2) { c20 = f32x4.splat(0.0); c21 = f32x4.splat(0.0); if (wide) { c22 = f32x4.splat(0.0); c23 = f32x4.splat(0.0); } }
    if (height > 3) { c30 = f32x4.splat(0.0); c31 = f32x4.splat(0.0); if (wide) { c32 = f32x4.splat(0.0); c33 = f32x4.splat(0.0); } }
  }
  if (onto == ADD) {
    c00 = f32x4.add(v128.load(row, 0), c00); c01 = f32x4.add(v128.load(row, 16), c01); if (wide) { c02 = f32x4.add(v128.load(row, 32), c02); c03 = f32x4.add(v128.load(row, 48), c03); } row += rowBytes;
    if (height > 1) { c10 = f32x4.add(v128.load(row, 0), c10); c11 = f32x4.add(v128.load(row, 16), c11); if (wide) { c12 = f32x4.add(v128.load(row, 32), c12); c13 = f32x4.add(v128.load(row, 48), c13); } row += rowBytes; }
    if (height > 2) { c20 = f32x4.add(v128.load(row, 0), c20); c21 = f32x4.add(v128.load(row, 16), c21); if (wide) { c22 = f32x4.add(v128.load(row, 32), c22); c23 = f32x4.add(v128.load(row, 48), c23); } row += rowBytes; }
    if (height > 3) { c30 = f32x4.add(v128.load(row, 0), c30); c31 = f32x4.add(v128.load(row, 16), c31); if (wide) { c32 = f32x4.add(v128.load(row, 32), c32); c33 = f32x4.add(v128.load(row, 48), c33); } }
    row = c;
  }
  finishTile(
    height, wide, row, rowBytes, bias, relu,
    c00, c01, c02, c03,
    c10, c11, c12, c13,
    c20, c21, c22, c23,
    c30, c31, c32, c33,
  );
}

/** Computes the tile at `c`, with a `height` of 4, 2 or 1; only a height of 4 can be wide. */
export function packedTile(
  height: i32, wide: bool, left: usize, leftRow: usize, step: usize, right: usize, panelBytes: usize, microbatches: i32,
  size: i32, c: usize, rowBytes: usize, onto: i32, bias: usize, relu: bool, stack: usize,
): void {
  if (wide) packedTileOf(4, true, left, leftRow, step, right, panelBytes, microbatches, size, c, rowBytes, onto, bias, relu, stack);
  else if (height == 4) packedTileOf(4, false, left, 4, 16, right, 0, microbatches, size, c, rowBytes, onto, bias, relu, stack);
  else if (height == 2) packedTileOf(2, false, left, 4, 8, right, 0, microbatches, size, c, rowBytes, onto, bias, relu, stack);
  else packedTileOf(1, false, left, 4, 4, right, 0, microbatches, size, c, rowBytes, onto, bias, relu, stack);
}

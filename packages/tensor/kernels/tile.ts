/** The register tiles that all matrix products are built from. */
import { multiplyAdd } from './shared';

// Engines leave 15 vector registers on x64, and V8 moves all loads of a block before its arithmetic: 8 sums, 2 vectors
// of the right operand, 4 of the left and a product just fit. Spilling a sum costs more than a larger tile saves.

/** Rows of the largest tile. */
export const tileRows: i32 = 4;

/**
 * Computes one `height` x 8 tile of a product. Row i is a chain over `outer` runs of `inner` left values. The values
 * begin at pi, `step` bytes apart, with `skip` more bytes between runs. Each is multiplied by 8 right values,
 * `rightStep` bytes apart. If `accumulate` is set, the chains continue from the values at `c`. At the end the eight
 * values at `bias`, unless it is 0, are added to each row, and relu is applied if `relu` is set.
 *
 * `height` and `packed` are constants after inlining, so the unused accumulators vanish. If `packed` is set, the rows
 * are interleaved from p0 on and the other pointers are not read.
 */
// @ts-ignore: decorator
@inline export function tile(
  height: i32, packed: bool, p0: usize, p1: usize, p2: usize, p3: usize,
  outer: i32, inner: i32, step: usize, skip: usize, right: usize, rightStep: usize,
  c: usize, rowBytes: usize, accumulate: bool, bias: usize, relu: bool,
): void {
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0);
  let row = c;
  if (accumulate) {
    c00 = v128.load(row, 0); c01 = v128.load(row, 16); row += rowBytes;
    if (height > 1) { c10 = v128.load(row, 0); c11 = v128.load(row, 16); row += rowBytes; }
    if (height > 2) { c20 = v128.load(row, 0); c21 = v128.load(row, 16); row += rowBytes; }
    if (height > 3) { c30 = v128.load(row, 0); c31 = v128.load(row, 16); row += rowBytes; }
    row = c;
  }
  const run = <usize>inner * step;
  for (; outer > 0; outer--) {
    const end = p0 + run;
    while (p0 != end) {
      const b0 = v128.load(right, 0);
      const b1 = v128.load(right, 16);
      right += rightStep;
      let a = v128.load32_splat(p0);
      c00 = multiplyAdd(c00, a, b0); c01 = multiplyAdd(c01, a, b1);
      if (height > 1) {
        if (packed) a = v128.load32_splat(p0, 4);
        else { a = v128.load32_splat(p1); p1 += step; }
        c10 = multiplyAdd(c10, a, b0); c11 = multiplyAdd(c11, a, b1);
      }
      if (height > 2) {
        if (packed) a = v128.load32_splat(p0, 8);
        else { a = v128.load32_splat(p2); p2 += step; }
        c20 = multiplyAdd(c20, a, b0); c21 = multiplyAdd(c21, a, b1);
      }
      if (height > 3) {
        if (packed) a = v128.load32_splat(p0, 12);
        else { a = v128.load32_splat(p3); p3 += step; }
        c30 = multiplyAdd(c30, a, b0); c31 = multiplyAdd(c31, a, b1);
      }
      p0 += step;
    }
    p0 += skip;
    if (!packed) { p1 += skip; p2 += skip; p3 += skip; }
  }
  if (bias != 0) {
    const d0 = v128.load(bias, 0);
    const d1 = v128.load(bias, 16);
    c00 = f32x4.add(c00, d0); c01 = f32x4.add(c01, d1);
    if (height > 1) { c10 = f32x4.add(c10, d0); c11 = f32x4.add(c11, d1); }
    if (height > 2) { c20 = f32x4.add(c20, d0); c21 = f32x4.add(c21, d1); }
    if (height > 3) { c30 = f32x4.add(c30, d0); c31 = f32x4.add(c31, d1); }
  }
  if (relu) {
    const zero = f32x4.splat(0.0);
    c00 = f32x4.max(c00, zero); c01 = f32x4.max(c01, zero);
    if (height > 1) { c10 = f32x4.max(c10, zero); c11 = f32x4.max(c11, zero); }
    if (height > 2) { c20 = f32x4.max(c20, zero); c21 = f32x4.max(c21, zero); }
    if (height > 3) { c30 = f32x4.max(c30, zero); c31 = f32x4.max(c31, zero); }
  }
  v128.store(row, c00, 0); v128.store(row, c01, 16); row += rowBytes;
  if (height > 1) { v128.store(row, c10, 0); v128.store(row, c11, 16); row += rowBytes; }
  if (height > 2) { v128.store(row, c20, 0); v128.store(row, c21, 16); row += rowBytes; }
  if (height > 3) { v128.store(row, c30, 0); v128.store(row, c31, 16); row += rowBytes; }
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

/** `height` is a constant after inlining, so the unused accumulators vanish. Both operands are packed over all of k. */
// @ts-ignore: decorator
@inline function microbatchTileOfHeight(
  height: i32, left: usize, right: usize, microbatches: i32, size: i32, c: usize, rowBytes: usize, accumulate: bool,
  stack: usize,
): void {
  let c00 = f32x4.splat(0.0), c01 = f32x4.splat(0.0);
  let c10 = f32x4.splat(0.0), c11 = f32x4.splat(0.0);
  let c20 = f32x4.splat(0.0), c21 = f32x4.splat(0.0);
  let c30 = f32x4.splat(0.0), c31 = f32x4.splat(0.0);
  const run = <usize>(size * height) << 2;
  let top = stack;
  for (let microbatch = 1; microbatch <= microbatches; microbatch++) {
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
    // additionsAfter in src/backends/calls.ts: the carries of a binary counter; at the end all remaining sums.
    let additions = microbatch == microbatches ? <i32>((top - stack) >> 7) : ctz(microbatch);
    for (; additions > 0; additions--) {
      top -= 128;
      c00 = f32x4.add(v128.load(top, 0), c00); c01 = f32x4.add(v128.load(top, 16), c01);
      if (height > 1) { c10 = f32x4.add(v128.load(top, 32), c10); c11 = f32x4.add(v128.load(top, 48), c11); }
      if (height > 2) { c20 = f32x4.add(v128.load(top, 64), c20); c21 = f32x4.add(v128.load(top, 80), c21); }
      if (height > 3) { c30 = f32x4.add(v128.load(top, 96), c30); c31 = f32x4.add(v128.load(top, 112), c31); }
    }
    if (microbatch == microbatches) break;
    v128.store(top, c00, 0); v128.store(top, c01, 16);
    if (height > 1) { v128.store(top, c10, 32); v128.store(top, c11, 48); }
    if (height > 2) { v128.store(top, c20, 64); v128.store(top, c21, 80); }
    if (height > 3) { v128.store(top, c30, 96); v128.store(top, c31, 112); }
    top += 128;
  }
  if (accumulate) {
    let row = c;
    c00 = f32x4.add(v128.load(row, 0), c00); c01 = f32x4.add(v128.load(row, 16), c01); row += rowBytes;
    if (height > 1) { c10 = f32x4.add(v128.load(row, 0), c10); c11 = f32x4.add(v128.load(row, 16), c11); row += rowBytes; }
    if (height > 2) { c20 = f32x4.add(v128.load(row, 0), c20); c21 = f32x4.add(v128.load(row, 16), c21); row += rowBytes; }
    if (height > 3) { c30 = f32x4.add(v128.load(row, 0), c30); c31 = f32x4.add(v128.load(row, 16), c31); }
  }
  v128.store(c, c00, 0); v128.store(c, c01, 16); c += rowBytes;
  if (height > 1) { v128.store(c, c10, 0); v128.store(c, c11, 16); c += rowBytes; }
  if (height > 2) { v128.store(c, c20, 0); v128.store(c, c21, 16); c += rowBytes; }
  if (height > 3) { v128.store(c, c30, 0); v128.store(c, c31, 16); }
}

/**
 * Computes the tile at `c`, with a `height` of 4, 2 or 1; adds it to the values there if `accumulate` is set. `size` is k
 * per microbatch, `stack` has `tileStackBytes`.
 */
export function microbatchTile(
  height: i32, left: usize, right: usize, microbatches: i32, size: i32, c: usize, rowBytes: usize, accumulate: bool,
  stack: usize,
): void {
  if (height == 4) microbatchTileOfHeight(4, left, right, microbatches, size, c, rowBytes, accumulate, stack);
  else if (height == 2) microbatchTileOfHeight(2, left, right, microbatches, size, c, rowBytes, accumulate, stack);
  else microbatchTileOfHeight(1, left, right, microbatches, size, c, rowBytes, accumulate, stack);
}

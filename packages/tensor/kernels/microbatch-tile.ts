/** A tile of a product with one sum over k per microbatch, added pairwise: `Microbatches` in src/backend.ts. */
import { multiplyAdd } from './multiply-add';

/** `height` is a constant after inlining, so the unused accumulators vanish. Both operands are packed over all of k. */
// @ts-ignore: decorator
@inline function microbatchTileOfHeight(
  height: i32, left: usize, right: usize, microbatches: i32, size: i32, c: usize, rowBytes: usize, stack: usize,
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
    // additionsAfter in src/backends/pairwise-sum.ts: the carries of a binary counter; at the end all remaining sums.
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
  v128.store(c, c00, 0); v128.store(c, c01, 16); c += rowBytes;
  if (height > 1) { v128.store(c, c10, 0); v128.store(c, c11, 16); c += rowBytes; }
  if (height > 2) { v128.store(c, c20, 0); v128.store(c, c21, 16); c += rowBytes; }
  if (height > 3) { v128.store(c, c30, 0); v128.store(c, c31, 16); }
}

/** Computes the tile at `c`, with a `height` of 4, 2 or 1; `size` is k per microbatch, `stack` has `tileStackBytes`. */
export function microbatchTile(
  height: i32, left: usize, right: usize, microbatches: i32, size: i32, c: usize, rowBytes: usize, stack: usize,
): void {
  if (height == 4) microbatchTileOfHeight(4, left, right, microbatches, size, c, rowBytes, stack);
  else if (height == 2) microbatchTileOfHeight(2, left, right, microbatches, size, c, rowBytes, stack);
  else microbatchTileOfHeight(1, left, right, microbatches, size, c, rowBytes, stack);
}

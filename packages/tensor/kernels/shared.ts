/** Shared by all kernels: the workspace with its block sizes, the step of every chain, and partial stores. */

/** Columns of one packed panel of the right operand: two vectors. */
export const panelColumns: i32 = 8;
/** Largest blocks of k, rows and columns: two panels fit in the L1 cache, a block in the L2 cache. */
export const innerBlock: i32 = 392;
export const rowBlock: i32 = 96;
export const columnBlock: i32 = 512;

export const packedLeftBytes: usize = (<usize>innerBlock * rowBlock) << 2;
export const packedRightBytes: usize = (<usize>innerBlock * columnBlock) << 2;
/** One finished edge tile, before its valid part is copied out. */
export const tileBytes: usize = 256;
/** Sums of tiles that are waiting for their right sibling: one for each doubling of the number of microbatches. */
const tileStackBytes: usize = 16 * 256;

/** Base of the workspace: packed operands of a dense product, or the lists of a sparse one, which are smaller. */
let base: usize = (__heap_base + 63) & ~63;

/** First byte of this instance's workspace. */
export function workspace(): usize {
  return base;
}

/** Moves the workspace: instances that share memory need separate ones. `address` is a multiple of 64. */
export function setWorkspace(address: usize): void {
  base = address;
}

export function workspaceBytes(): usize {
  return packedLeftBytes + packedRightBytes + tileBytes + tileStackBytes;
}

let wide = false;

/** Whether the engine makes one vector of two neighbors. */
export function isWide(): bool {
  return wide;
}

export function setWide(value: bool): void {
  wide = value;
}

/** Rows of a sparse product computed together: one cache line of a transposed left operand. */
export const sparseLanes: i32 = 16;
/** Columns of a sparse product computed together. */
export const sparseColumns: i32 = 512;
/** Longest list of nonzeros that is built at once. */
export const sparseInner: i32 = 1024;

/** `sum + a * b` of four floats, rounded twice on every engine. */
export function multiplyAdd(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** `multiplyAdd` of single values. */
export function multiplyAddOnce(sum: f32, a: f32, b: f32): f32 {
  return f32x4.extract_lane(multiplyAdd(f32x4.splat(sum), f32x4.splat(a), f32x4.splat(b)), 0);
}

/** Loads four floats, `step` bytes apart. */
export function loadFour(at: usize, step: usize): v128 {
  let four = v128.load32_zero(at);
  four = v128.load32_lane(at + step, four, 1);
  four = v128.load32_lane(at + 2 * step, four, 2);
  return v128.load32_lane(at + 3 * step, four, 3);
}

/** Stores the first `lanes` of four floats, or all four if `lanes` is larger. */
export function storeLanes(target: usize, value: v128, lanes: i32): void {
  if (lanes >= 4) {
    v128.store(target, value);
    return;
  }
  store<f32>(target, f32x4.extract_lane(value, 0));
  if (lanes > 1) store<f32>(target, f32x4.extract_lane(value, 1), 4);
  if (lanes > 2) store<f32>(target, f32x4.extract_lane(value, 2), 8);
}

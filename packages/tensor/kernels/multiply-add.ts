/** The step of every chain of products. */

/** `sum + a * b` of four floats, rounded twice on every engine. */
export function multiplyAdd(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** `multiplyAdd` of single values. */
export function multiplyAddOnce(sum: f32, a: f32, b: f32): f32 {
  return f32x4.extract_lane(multiplyAdd(f32x4.splat(sum), f32x4.splat(a), f32x4.splat(b)), 0);
}

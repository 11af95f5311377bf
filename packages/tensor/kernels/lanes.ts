/** Partial vector stores. */

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

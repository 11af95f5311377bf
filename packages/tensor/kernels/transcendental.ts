/** exp and log of four floats, in the same steps as src/float32.ts. */

function step(x: v128, value: v128, coefficient: f32): v128 {
  return f32x4.add(f32x4.mul(value, x), f32x4.splat(coefficient));
}

function powerOfTwo(exponent: v128): v128 {
  return i32x4.shl(i32x4.add(exponent, i32x4.splat(127)), 23);
}

// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const clamped = f32x4.min(f32x4.max(x, f32x4.splat(-104.5)), f32x4.splat(89.5));
  const shift = f32x4.splat(12582912.0);
  const n = f32x4.sub(f32x4.add(f32x4.mul(clamped, f32x4.splat(1.44269504088896341)), shift), shift);
  const high = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)));
  const r = f32x4.sub(high, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = step(r, p, 1.3981999507e-3);
  p = step(r, p, 8.3334519073e-3);
  p = step(r, p, 4.1665795894e-2);
  p = step(r, p, 1.6666665459e-1);
  p = step(r, p, 5.0000001201e-1);
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1.0));
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

// @ts-ignore: decorator
@inline export function log4(x: v128): v128 {
  const subnormal = f32x4.lt(x, f32x4.splat(1.1754943508222875e-38));
  const bits = v128.bitselect(f32x4.mul(x, f32x4.splat(33554432.0)), x, subnormal);
  let exponent = i32x4.sub(i32x4.shr_s(bits, 23), i32x4.splat(126));
  exponent = i32x4.sub(exponent, v128.and(subnormal, i32x4.splat(25)));
  let m = v128.or(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const small = f32x4.lt(m, f32x4.splat(0.70710678118654752));
  // `small` is -1 if true.
  exponent = i32x4.add(exponent, small);
  m = f32x4.add(m, v128.and(m, small));
  const r = f32x4.sub(m, f32x4.splat(1.0));
  const squared = f32x4.mul(r, r);
  let p = f32x4.splat(7.0376836292e-2);
  p = step(r, p, -1.1514610310e-1);
  p = step(r, p, 1.1676998740e-1);
  p = step(r, p, -1.2420140846e-1);
  p = step(r, p, 1.4249322787e-1);
  p = step(r, p, -1.6668057665e-1);
  p = step(r, p, 2.0000714765e-1);
  p = step(r, p, -2.4999993993e-1);
  p = step(r, p, 3.3333331174e-1);
  const e = f32x4.convert_i32x4_s(exponent);
  let tail = f32x4.mul(f32x4.mul(p, r), squared);
  tail = f32x4.add(tail, f32x4.mul(e, f32x4.splat(-2.12194440e-4)));
  tail = f32x4.sub(tail, f32x4.mul(squared, f32x4.splat(0.5)));
  const result = f32x4.add(f32x4.add(r, tail), f32x4.mul(e, f32x4.splat(0.693359375)));
  const zero = f32x4.splat(0.0);
  const infinity = f32x4.splat(f32.POSITIVE_INFINITY);
  // Negative numbers and NaN give NaN, zero gives -infinity, infinity gives itself.
  const special = v128.bitselect(f32x4.neg(infinity), f32x4.splat(f32.NaN), f32x4.eq(x, zero));
  const finite = v128.bitselect(infinity, result, f32x4.eq(x, infinity));
  return v128.bitselect(finite, special, f32x4.gt(x, zero));
}

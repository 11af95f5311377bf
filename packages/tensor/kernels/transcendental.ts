/** exp and log of four floats in float32, and functions computed in float64 and rounded once: the steps of src/formula.ts. */
import {
  atanh2Polynomial, exp2Polynomial, exp4Polynomial, log4Polynomial, tail2Polynomial,
} from './generated/programs';

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
  let p = exp4Polynomial(r);
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
  const p = log4Polynomial(r);
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

function lower(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}

function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 2, 3));
}

function joined(low: v128, high: v128): v128 {
  return v128.shuffle<f64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

function exp2(x: v128): v128 {
  const clamped = f64x2.min(f64x2.max(x, f64x2.splat(-150.0)), f64x2.splat(150.0));
  const shift = f64x2.splat(6755399441055744.0);
  const shifted = f64x2.add(f64x2.mul(clamped, f64x2.splat(1.4426950408889634)), shift);
  const n = f64x2.sub(shifted, shift);
  const whole = f64x2.sub(clamped, f64x2.mul(n, f64x2.splat(6.93147180369123816490e-1)));
  const r = f64x2.sub(whole, f64x2.mul(n, f64x2.splat(1.90821492927058770002e-10)));
  const p = exp2Polynomial(r);
  // The lowest bits of `shifted` are those of n.
  return f64x2.mul(p, i64x2.shl(i64x2.add(shifted, i64x2.splat(1023)), 52));
}

function atanh2(s: v128): v128 {
  const squared = f64x2.mul(s, s);
  const p = atanh2Polynomial(squared);
  return f64x2.mul(p, s);
}

function log2(x: v128): v128 {
  // With the exponent's bits as its lowest, 2^52 becomes a float64 of that value.
  const biased = v128.or(i64x2.shr_u(x, 52), i64x2.splat(0x4330000000000000));
  let exponent = f64x2.sub(biased, f64x2.splat(4503599627371519.0));
  let m = v128.or(v128.and(x, i64x2.splat(0x000fffffffffffff)), i64x2.splat(0x3ff0000000000000));
  const large = f64x2.gt(m, f64x2.splat(1.4142135623730951));
  m = v128.bitselect(f64x2.mul(m, f64x2.splat(0.5)), m, large);
  exponent = f64x2.add(exponent, v128.and(large, f64x2.splat(1.0)));
  const one = f64x2.splat(1.0);
  const series = atanh2(f64x2.div(f64x2.sub(m, one), f64x2.add(m, one)));
  const result = f64x2.add(f64x2.mul(exponent, f64x2.splat(0.6931471805599453)), f64x2.mul(f64x2.splat(2.0), series));
  const zero = f64x2.splat(0.0);
  const infinity = f64x2.splat(f64.POSITIVE_INFINITY);
  const special = v128.bitselect(f64x2.neg(infinity), f64x2.splat(f64.NaN), f64x2.eq(x, zero));
  const finite = v128.bitselect(infinity, result, f64x2.eq(x, infinity));
  return v128.bitselect(finite, special, f64x2.gt(x, zero));
}

function tanh2(x: v128): v128 {
  const magnitude = f64x2.abs(x);
  const squared = f64x2.mul(x, x);
  const one = f64x2.splat(1.0);
  const inner = f64x2.sub(f64x2.mul(squared, f64x2.splat(2.0 / 15.0)), f64x2.splat(1.0 / 3.0));
  const series = f64x2.mul(x, f64x2.add(one, f64x2.mul(squared, inner)));
  const power = exp2(f64x2.mul(magnitude, f64x2.splat(-2.0)));
  const value = f64x2.div(f64x2.sub(one, power), f64x2.add(one, power));
  const signed = v128.bitselect(f64x2.neg(value), value, f64x2.lt(x, f64x2.splat(0.0)));
  return v128.bitselect(series, signed, f64x2.lt(magnitude, f64x2.splat(0.001953125)));
}

function sigmoid2(x: v128): v128 {
  const power = exp2(f64x2.neg(f64x2.abs(x)));
  const one = f64x2.splat(1.0);
  return f64x2.div(v128.bitselect(power, one, f64x2.lt(x, f64x2.splat(0.0))), f64x2.add(one, power));
}

function softplus2(x: v128): v128 {
  const power = exp2(f64x2.neg(f64x2.abs(x)));
  const two = f64x2.splat(2.0);
  const series = atanh2(f64x2.div(power, f64x2.add(two, power)));
  return f64x2.add(f64x2.max(x, f64x2.splat(0.0)), f64x2.mul(two, series));
}

function normalCdf2(x: v128): v128 {
  const magnitude = f64x2.abs(x);
  const one = f64x2.splat(1.0);
  const t = f64x2.div(one, f64x2.add(one, f64x2.mul(magnitude, f64x2.splat(0.2))));
  const p = tail2Polynomial(t);
  const power = exp2(f64x2.mul(f64x2.mul(magnitude, magnitude), f64x2.splat(-0.5)));
  const tail = f64x2.mul(power, f64x2.mul(p, t));
  return v128.bitselect(tail, f64x2.sub(one, tail), f64x2.lt(x, f64x2.splat(0.0)));
}

export function tanh4(x: v128): v128 {
  return joined(tanh2(lower(x)), tanh2(upper(x)));
}

export function sigmoid4(x: v128): v128 {
  return joined(sigmoid2(lower(x)), sigmoid2(upper(x)));
}

export function softplus4(x: v128): v128 {
  return joined(softplus2(lower(x)), softplus2(upper(x)));
}

export function normalCdf4(x: v128): v128 {
  return joined(normalCdf2(lower(x)), normalCdf2(upper(x)));
}

export function pow4(x: v128, y: v128): v128 {
  const magnitude = f32x4.abs(x);
  const zero = f32x4.splat(0.0);
  const one = f32x4.splat(1.0);
  const low = exp2(f64x2.mul(lower(y), log2(lower(magnitude))));
  const high = exp2(f64x2.mul(upper(y), log2(upper(magnitude))));
  let value = v128.bitselect(one, joined(low, high), f32x4.eq(magnitude, one));
  const whole = f32x4.eq(f32x4.floor(y), y);
  const half = f32x4.mul(y, f32x4.splat(0.5));
  const odd = v128.and(whole, f32x4.ne(f32x4.floor(half), half));
  value = v128.xor(value, v128.and(v128.and(odd, x), i32x4.splat(0x80000000)));
  const finite = f32x4.ne(x, f32x4.splat(f32.NEGATIVE_INFINITY));
  const root = v128.andnot(v128.and(f32x4.lt(x, zero), finite), whole);
  value = v128.bitselect(f32x4.splat(f32.NaN), value, root);
  return v128.bitselect(one, value, f32x4.eq(y, zero));
}

/** Functions of four floats in float32, and powers computed in float64 and rounded once: the steps of src/formula.ts. */
import {
  atanh2Polynomials, atanh4Polynomial, exp2Polynomials, exp4Polynomial, log4Polynomial, power4Polynomial,
  tail4Polynomial,
} from './generated/programs';
import { storeLanes, workspace } from './shared';

// x64 has one instruction for pmin and pmax, which return a first operand that is NaN, and many for min and max.

// @ts-ignore: decorator
@inline function clamped(x: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.pmax(x, f32x4.splat(low)), f32x4.splat(high));
}

/** `e^(x + small)` if `isSum` is set, else `e^x`, for x in [-150, 90]. */
// @ts-ignore: decorator
@inline function exponential(x: v128, isSum: bool, small: v128): v128 {
  // x / log(2), plus 1.5 * 2^23: it is rounded to an integer n, which the lowest bits have.
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504088896341)), f32x4.splat(12582912.0));
  const n = f32x4.sub(shifted, f32x4.splat(12582912.0));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  if (isSum) r = f32x4.add(r, small);
  const p = f32x4.add(f32x4.add(f32x4.mul(exp4Polynomial(r), f32x4.mul(r, r)), r), f32x4.splat(1.0));
  // Two factors reach every subnormal.
  const whole = i32x4.sub(shifted, i32x4.splat(0x4b400000));
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

// @ts-ignore: decorator
@inline function powerOfTwo(exponent: v128): v128 {
  return i32x4.shl(i32x4.add(exponent, i32x4.splat(127)), 23);
}

// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  return exponential(clamped(x, -104.5, 89.5), false, x);
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

// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  const sign = i32x4.splat(0x80000000);
  const power = f32x4.pmax(v128.or(f32x4.add(x, x), sign), f32x4.splat(-60.0));
  // As in `exponential`, plus 127: shifting by 23 leaves the bits of 2^n.
  const shifted = f32x4.add(f32x4.mul(power, f32x4.splat(1.44269504088896341)), f32x4.splat(12583039.0));
  const factor = i32x4.shl(shifted, 23);
  const n = f32x4.sub(shifted, f32x4.splat(12583039.0));
  const r = f32x4.sub(power, f32x4.mul(n, f32x4.splat(0.693147180559945309)));
  const small = f32x4.add(f32x4.mul(power4Polynomial(r), f32x4.mul(r, r)), r);
  const difference = f32x4.add(f32x4.mul(factor, small), f32x4.sub(factor, f32x4.splat(1.0)));
  const value = f32x4.div(difference, f32x4.add(difference, f32x4.splat(2.0)));
  return v128.bitselect(x, value, sign);
}

// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  const power = exp4(f32x4.neg(f32x4.abs(x)));
  const one = f32x4.splat(1.0);
  return f32x4.div(v128.bitselect(power, one, f32x4.lt(x, f32x4.splat(0.0))), f32x4.add(one, power));
}

// @ts-ignore: decorator
@inline export function softplus4(x: v128): v128 {
  const power = exp4(f32x4.neg(f32x4.abs(x)));
  const two = f32x4.splat(2.0);
  const factor = f32x4.div(two, f32x4.add(two, power));
  const s = f32x4.mul(f32x4.mul(power, factor), f32x4.splat(0.5));
  const series = f32x4.mul(f32x4.mul(atanh4Polynomial(f32x4.mul(s, s)), factor), power);
  return f32x4.add(f32x4.pmax(x, f32x4.splat(0.0)), series);
}

/** `normalCdf` of x, or `geluSlope` if `isSlope` is set. */
// @ts-ignore: decorator
@inline function normal(x: v128, isSlope: bool): v128 {
  const magnitude = f32x4.pmin(f32x4.abs(x), f32x4.splat(15.0));
  const upper = v128.and(magnitude, i32x4.splat(-4096));
  const rest = f32x4.mul(f32x4.add(magnitude, upper), f32x4.sub(magnitude, upper));
  const minusHalf = f32x4.splat(-0.5);
  const power = exponential(f32x4.mul(f32x4.mul(upper, upper), minusHalf), true, f32x4.mul(rest, minusHalf));
  const scaled = f32x4.mul(magnitude, f32x4.splat(0.34));
  const one = f32x4.splat(1.0);
  const t = f32x4.div(one, f32x4.add(one, scaled));
  let tail = f32x4.mul(power, f32x4.mul(tail4Polynomial(f32x4.mul(scaled, t)), t));
  if (isSlope) {
    const density = f32x4.mul(power, f32x4.splat(0.3989422804014327));
    tail = f32x4.sub(tail, f32x4.mul(magnitude, density));
  }
  return v128.bitselect(tail, f32x4.sub(one, tail), f32x4.lt(x, f32x4.splat(0.0)));
}

// @ts-ignore: decorator
@inline export function normalCdf4(x: v128): v128 {
  return normal(x, false);
}

// @ts-ignore: decorator
@inline export function geluSlope4(x: v128): v128 {
  return normal(x, true);
}

// Powers. One loop over all operations would wait for each of them, so that several loops pass on the values of a block.

/** Elements of a block, and the bytes of their values in float64. */
const powersTogether: i32 = 128;
const powerBytes: usize = 8 * <usize>powersTogether;
/** Places of the values of a block in float64; each loop says what they are. */
const SECOND: usize = powerBytes, THIRD: usize = 2 * powerBytes;

/** Computes `target[i] = a[i]^b[i]`. */
export function powLoop(target: usize, a: usize, b: usize, _: usize, count: i32): void {
  const work = workspace();
  for (; count > 0; count -= powersTogether, target += powerBytes >> 1, a += powerBytes >> 1, b += powerBytes >> 1) {
    const bytes = <usize>((min(powersTogether, count) + 3) & ~3) << 2;
    const end = work + 2 * bytes;
    for (let at: usize = 0, to = work; to < end; at += 16, to += 32) splitExponents(f32x4.abs(v128.load(a + at)), to);
    atanh2Polynomials(work, end);
    for (let at: usize = 0, to = work; to < end; at += 16, to += 32) {
      const y = v128.load(b + at);
      splitPower(lower(y), to);
      splitPower(upper(y), to + 16);
    }
    exp2Polynomials(work, end);
    for (let at: usize = 0, from = work; from < end; at += 16, from += 32) {
      const low = f64x2.mul(v128.load(from), v128.load(from, SECOND));
      const high = f64x2.mul(v128.load(from, 16), v128.load(from, SECOND + 16));
      storeLanes(target + at, powerOf(v128.load(a + at), v128.load(b + at), joined(low, high)), count - <i32>(at >> 2));
    }
  }
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

/** Stores `s^2`, `s = (m - 1) / (m + 1)` and n of four values `x = m * 2^n`, which are positive and finite. */
// @ts-ignore: decorator
@inline function splitExponents(x: v128, to: usize): void {
  const subnormal = f32x4.lt(x, f32x4.splat(1.1754943508222875e-38));
  const bits = v128.bitselect(f32x4.mul(x, f32x4.splat(16777216.0)), x, subnormal);
  // Subtracting the bits of the float32 above sqrt(0.5) leaves n in the exponent's bits: m is in [sqrt(0.5), sqrt(2)].
  const exponent = i32x4.shr_s(i32x4.sub(bits, i32x4.splat(0x3f3504f4)), 23);
  const m = i32x4.sub(bits, i32x4.shl(exponent, 23));
  const n = i32x4.sub(exponent, v128.and(subnormal, i32x4.splat(24)));
  storeRatio(lower(m), to);
  storeRatio(upper(m), to + 16);
  v128.store(to, f64x2.convert_low_i32x4_s(n), THIRD);
  v128.store(to, f64x2.convert_low_i32x4_s(v128.shuffle<i32>(n, n, 2, 3, 2, 3)), THIRD + 16);
}

// @ts-ignore: decorator
@inline function storeRatio(m: v128, to: usize): void {
  const one = f64x2.splat(1.0);
  const s = f64x2.div(f64x2.sub(m, one), f64x2.add(m, one));
  v128.store(to, f64x2.mul(s, s));
  v128.store(to, s, SECOND);
}

/** Replaces `atanh(s) / s`, s and n by r and `2^n` of `x^y = e^r 2^n`. */
// @ts-ignore: decorator
@inline function splitPower(y: v128, at: usize): void {
  const series = f64x2.mul(v128.load(at), v128.load(at, SECOND));
  const logarithm = f64x2.add(
    f64x2.mul(v128.load(at, THIRD), f64x2.splat(0.6931471805599453)), f64x2.mul(f64x2.splat(2.0), series),
  );
  const clamped = f64x2.pmin(f64x2.pmax(f64x2.mul(y, logarithm), f64x2.splat(-150.0)), f64x2.splat(150.0));
  const shift = f64x2.splat(6755399441055744.0);
  const shifted = f64x2.add(f64x2.mul(clamped, f64x2.splat(1.4426950408889634)), shift);
  const n = f64x2.sub(shifted, shift);
  const whole = f64x2.sub(clamped, f64x2.mul(n, f64x2.splat(6.93147180369123816490e-1)));
  v128.store(at, f64x2.sub(whole, f64x2.mul(n, f64x2.splat(1.90821492927058770002e-10))));
  // The lowest bits of `shifted` are those of n.
  v128.store(at, i64x2.shl(i64x2.add(shifted, i64x2.splat(1023)), 52), SECOND);
}

/** Returns `x^y`, given the power of |x| rounded to float32 unless x is 0, infinite or NaN. */
// @ts-ignore: decorator
@inline function powerOf(x: v128, y: v128, power: v128): v128 {
  const zero = f32x4.splat(0.0);
  const one = f32x4.splat(1.0);
  const infinity = f32x4.splat(f32.POSITIVE_INFINITY);
  const magnitude = f32x4.abs(x);
  const isPlain = v128.and(v128.and(f32x4.gt(x, zero), f32x4.lt(x, infinity)), f32x4.lt(f32x4.abs(y), infinity));
  if (i32x4.all_true(isPlain)) return power;
  // 0 and infinity have powers of 0 and infinity; that of a NaN is NaN already.
  const isZero = f32x4.eq(magnitude, zero), isInfinite = f32x4.eq(magnitude, infinity);
  const edge = v128.and(infinity, v128.xor(isInfinite, f32x4.lt(y, zero)));
  let value = v128.bitselect(edge, power, v128.and(v128.or(isZero, isInfinite), f32x4.eq(y, y)));
  value = v128.bitselect(one, value, f32x4.eq(magnitude, one));
  const whole = f32x4.eq(f32x4.floor(y), y);
  const half = f32x4.mul(y, f32x4.splat(0.5));
  const odd = v128.and(whole, f32x4.ne(f32x4.floor(half), half));
  value = v128.xor(value, v128.and(v128.and(odd, x), i32x4.splat(0x80000000)));
  const finite = f32x4.ne(x, f32x4.splat(f32.NEGATIVE_INFINITY));
  const root = v128.andnot(v128.and(f32x4.lt(x, zero), finite), whole);
  value = v128.bitselect(f32x4.splat(f32.NaN), value, v128.or(root, f32x4.ne(x, x)));
  return v128.bitselect(one, value, f32x4.eq(y, zero));
}

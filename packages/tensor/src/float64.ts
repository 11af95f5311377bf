/** Functions of float32 values computed in float64 with only IEEE operations: the same bits everywhere. */

// kernels/float64.ts has the same operations in the same order. exp is range reduction and Taylor's polynomial, log is
// the series of 2 atanh((m - 1) / (m + 1)). Both are accurate to 1e-14, far below the final rounding to float32.

const { fround } = Math;
const floatBits = new Float64Array(1);
const wordBits = new Uint32Array(floatBits.buffer);
const high = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
const low = 1 - high;

/** Beyond these bounds a float32 result is 0 or infinity. */
const [lowestExponent, highestExponent] = [-150, 150];
/** Adding and subtracting 1.5 * 2^52 rounds a small float64 to the nearest integer, ties to even. */
const roundingShift = 6755399441055744;
/** The sum is log(2). The first term ends in zero bits, so that its small multiples are exact. */
const [log2High, log2Low] = [0.6931471803691238, 1.9082149292705877e-10];
/** Below this magnitude tanh uses the first terms of its series, because `1 - exp` would cancel. */
const smallArgument = 2 ** -9;

/** 1/12!, …, 1/1!, 1. */
const expCoefficients = [
  2.08767569878681e-9, 2.505210838544172e-8, 2.755731922398589e-7, 2.7557319223985893e-6, 2.48015873015873e-5,
  0.0001984126984126984, 0.001388888888888889, 0.008333333333333333, 0.041666666666666664, 0.16666666666666666, 0.5,
  1.0, 1.0,
];
/** 1/23, …, 1/3, 1. */
const atanhCoefficients = [
  0.043478260869565216, 0.047619047619047616, 0.05263157894736842, 0.058823529411764705, 0.06666666666666667,
  0.07692307692307693, 0.09090909090909091, 0.1111111111111111, 0.14285714285714285, 0.2, 0.3333333333333333, 1.0,
];
/** Minimax polynomial in t = 1 / (1 + x / 5) for `exp(x^2 / 2) (1 - normalCdf(x)) / t`; relative error 1e-12. */
const tailCoefficients = [
  -0.010921304873665497, 0.08383905298934113, -0.2687204815016027, 0.4728461035175983, -0.5427323935986625,
  0.46976546429777244, -0.25035685627124804, 0.16229160111190444, 0.007831160828161461, 0.07139938874867058,
  0.06838091567227884, 0.07681572904501807, 0.07977264159081136, 0.0797889784431749,
];

function horner(coefficients: readonly number[], x: number): number {
  let value = coefficients[0]!;
  for (let index = 1; index < coefficients.length; index++) value = value * x + coefficients[index]!;
  return value;
}

/** `e^x`, with x clamped to [-150, 150]. */
function exp64(x: number): number {
  const clamped = Math.min(Math.max(x, lowestExponent), highestExponent);
  const n = clamped * Math.LOG2E + roundingShift - roundingShift;
  const r = clamped - n * log2High - n * log2Low;
  wordBits[low] = 0;
  wordBits[high] = (n + 1023) << 20;
  return horner(expCoefficients, r) * floatBits[0]!;
}

/** `atanh(s)` for |s| <= 1/3. */
function atanh64(s: number): number {
  return horner(atanhCoefficients, s * s) * s;
}

/** Natural logarithm, accurate to 1e-14, of 0, infinity, NaN or a positive normal float64. */
export function log64(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  floatBits[0] = x;
  let exponent = (wordBits[high]! >> 20) - 1023;
  wordBits[high] = (wordBits[high]! & 0x000fffff) | 0x3ff00000;
  let m = floatBits[0]!;
  if (m > Math.SQRT2) {
    m *= 0.5;
    exponent += 1;
  }
  const s = (m - 1) / (m + 1);
  return exponent * Math.LN2 + 2 * atanh64(s);
}

/** Hyperbolic tangent; -0 for -0. */
export function tanh32(x: number): number {
  const magnitude = Math.abs(x);
  const squared = x * x;
  if (magnitude < smallArgument) return fround(x * (1 + squared * (squared * (2 / 15) - 1 / 3)));
  const power = exp64(magnitude * -2);
  const value = (1 - power) / (1 + power);
  return fround(x < 0 ? -value : value);
}

/** `1 / (1 + e^-x)`. */
export function sigmoid32(x: number): number {
  const power = exp64(-Math.abs(x));
  return fround((x < 0 ? power : 1) / (1 + power));
}

/** `log(1 + e^x)`. */
export function softplus32(x: number): number {
  const power = exp64(-Math.abs(x));
  return fround(Math.max(x, 0) + 2 * atanh64(power / (2 + power)));
}

/** The standard normal distribution function, `(1 + erf(x / sqrt(2))) / 2`. */
export function normalCdf32(x: number): number {
  const magnitude = Math.abs(x);
  const t = 1 / (1 + magnitude * 0.2);
  const tail = exp64(magnitude * magnitude * -0.5) * (horner(tailCoefficients, t) * t);
  return fround(x < 0 ? tail : 1 - tail);
}

/**
 * `x^y` with the special cases of C's powf: `x^0` and `1^y` are 1 even for NaN.
 * A negative x gives NaN unless y is an integer or x is infinite.
 */
export function pow32(x: number, y: number): number {
  const magnitude = Math.abs(x);
  if (y === 0) return 1;
  const whole = Math.floor(y) === y;
  if (x < 0 && x !== Number.NEGATIVE_INFINITY && !whole) return Number.NaN;
  const value = magnitude === 1 ? 1 : fround(exp64(y * log64(magnitude)));
  const half = y * 0.5;
  const odd = whole && Math.floor(half) !== half;
  return odd && (x < 0 || Object.is(x, -0)) ? -value : value;
}

/** exp and log as exact sequences of float32 operations: the same bits on every engine. */

// Both follow the single-precision routines of Moshier's Cephes library (expf, logf): range reduction with a
// two-part constant, then a polynomial. Every step is rounded, in the same order as in kernels/transcendental.ts.

const { fround } = Math;
const floatBits = new Float32Array(1);
const integerBits = new Int32Array(floatBits.buffer);

const log2OfE = fround(Math.LOG2E);
const log2High = fround(0.693359375);
const log2Low = fround(-2.1219444e-4);
/** Beyond these bounds the result is 0 or infinity; clamping keeps the exponent arithmetic in range. */
const [lowestExponent, highestExponent] = [fround(-104.5), fround(89.5)];
/** Adding and subtracting 1.5 * 2^23 rounds a float32 below 2^22 to the nearest integer, ties to even. */
const roundingShift = 12582912;

const expCoefficients = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
].map(fround);
const logCoefficients = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(fround);

function add(left: number, right: number): number {
  return fround(left + right);
}

function mul(left: number, right: number): number {
  return fround(left * right);
}

function horner(coefficients: readonly number[], x: number): number {
  let value = coefficients[0]!;
  for (let index = 1; index < coefficients.length; index++) value = add(mul(value, x), coefficients[index]!);
  return value;
}

/** Returns `2^exponent` for an integer exponent in [-126, 127]. */
function powerOfTwo(exponent: number): number {
  integerBits[0] = (exponent + 127) << 23;
  return floatBits[0]!;
}

/** `e^x` of a float32: within 1 ulp, subnormals included; underflows to 0, overflows to infinity; NaN for NaN. */
export function exp32(x: number): number {
  const clamped = Math.min(Math.max(x, lowestExponent), highestExponent);
  const n = add(add(mul(clamped, log2OfE), roundingShift), -roundingShift);
  const r = add(add(clamped, -mul(n, log2High)), -mul(n, log2Low));
  const polynomial = add(add(mul(horner(expCoefficients, r), mul(r, r)), r), 1);
  const whole = n | 0;
  const half = whole >> 1;
  return mul(mul(polynomial, powerOfTwo(half)), powerOfTwo(whole - half));
}

/** Natural logarithm of a float32: within 1 ulp; -infinity for 0, NaN below 0 and for NaN. */
export function log32(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  const subnormal = x < 1.1754943508222875e-38;
  floatBits[0] = subnormal ? x * 33554432 : x;
  const bits = integerBits[0]!;
  let exponent = (bits >> 23) - 126 - (subnormal ? 25 : 0);
  integerBits[0] = (bits & 0x007fffff) | 0x3f000000;
  let m = floatBits[0]!;
  if (m < fround(Math.SQRT1_2)) {
    exponent -= 1;
    m = add(m, m);
  }
  const r = add(m, -1);
  const squared = mul(r, r);
  let tail = mul(mul(horner(logCoefficients, r), r), squared);
  tail = add(tail, mul(exponent, log2Low));
  tail = add(tail, -mul(squared, 0.5));
  return add(add(r, tail), mul(exponent, log2High));
}

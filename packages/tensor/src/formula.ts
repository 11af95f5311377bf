/** Elementwise formulas as plain data, and their primitives: one entry each, with what every kind of code makes of it. */
import { callback, checkArgument, isObject, type Kind, number, oneOf, wholeNumber } from './arguments.ts';

// The kernels' build turns the column `simd` and the polynomials into AssemblyScript (scripts/build-kernels.mjs).

const { fround } = Math;
const floatBits = new Float32Array(1);
const integerBits = new Int32Array(floatBits.buffer);
const doubleBits = new Float64Array(1);
const wordBits = new Uint32Array(doubleBits.buffer);
const high = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
const low = 1 - high;

/** Coefficients, the highest power first: in float32 if the name ends in 4, for four lanes, else in float64. */
export const polynomials = {
  exp4: [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1].map(
    fround,
  ),
  log4: [
    7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  ].map(fround),
  /** `(e^r - 1 - r) / r^2` for |r| <= log(2) / 2, with an error of 0.3 ulp of `e^r - 1`; fitted by minimax. */
  power4: [
    0.0013882509665563703, 0.008366580121219158, 0.04166720062494278, 0.1666654348373413, 0.4999999701976776,
  ].map(fround),
  /** `e^x` for |x| <= log(2) / 2, to a relative error of 3e-16; fitted by minimax. */
  exp2: [
    2.777937101323388e-7, 2.764509810630759e-6, 2.4801115955421004e-5, 0.00019841157896164862, 0.0013888889256263319,
    0.008333333395865032, 0.04166666666559333, 0.16666666666524035, 0.5000000000000083, 1.000000000000009, 1.0,
  ],
  /** `atanh(s) / s` in s^2, for |s| <= 0.1716, to a relative error of 2e-16; fitted by minimax. */
  atanh2: [
    0.08409650210461846, 0.09061843925826954, 0.11111685110115069, 0.14285708575626074, 0.20000000026068135,
    0.33333333333293746, 1.0,
  ],
  /** 1/13, …, 1/3, 1. */
  atanh4: [1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1].map(fround),
  /** With `t = 1 / (1 + 0.34 x)`: `exp(x^2 / 2) (1 - normalCdf(x)) / t` in 0.34 x t, for x in [0, 15]; fitted by minimax. */
  tail4: [
    -0.02563762106001377, 0.06785859167575836, -0.025828858837485313, -0.03168186545372009, -0.0761289969086647,
    0.08447188138961792, 0.3159307837486267, -0.6733613610267639, 0.5,
  ].map(fround),
} as const satisfies Record<string, readonly number[]>;

function horner(coefficients: readonly number[], x: number): number {
  let value = coefficients[0]!;
  for (let index = 1; index < coefficients.length; index++) value = value * x + coefficients[index]!;
  return value;
}

// exp and log follow the single-precision routines of Moshier's Cephes library (expf, logf): range reduction with a
// two-part constant, then a polynomial. Every step is rounded, in the same order as in kernels/transcendental.ts.

const log2OfE = fround(Math.LOG2E);
const log2 = fround(Math.LN2);
const log2High = fround(0.693359375);
const log2Low = fround(-2.1219444e-4);
/** Beyond these bounds the result is 0 or infinity; clamping keeps the exponent arithmetic in range. */
const [lowestExponent, highestExponent] = [fround(-104.5), fround(89.5)];
/** Adding and subtracting 1.5 * 2^23 rounds a float32 below 2^22 to the nearest integer, ties to even. */
const roundingShift = 12582912;

function add(left: number, right: number): number {
  return fround(left + right);
}

function mul(left: number, right: number): number {
  return fround(left * right);
}

function horner32(coefficients: readonly number[], x: number): number {
  let value = coefficients[0]!;
  for (let index = 1; index < coefficients.length; index++) value = add(mul(value, x), coefficients[index]!);
  return value;
}

/** Returns `2^exponent` for an integer exponent in [-126, 127]. */
function powerOfTwo(exponent: number): number {
  integerBits[0] = (exponent + 127) << 23;
  return floatBits[0]!;
}

/**
 * `e^x` of a float32, within 1 ulp, subnormals included.
 * Underflows to 0, overflows to infinity; NaN for NaN.
 */
export function exp32(x: number): number {
  const clamped = Math.min(Math.max(x, lowestExponent), highestExponent);
  return expOfSum(clamped, 0);
}

/** `e^(x + small)` for x in [-150, 90], with a small term that x has no bits for. */
function expOfSum(x: number, small: number): number {
  // x is n log(2) + r, with an integer n.
  const n = add(add(mul(x, log2OfE), roundingShift), -roundingShift) | 0;
  const sum = add(add(add(x, -mul(n, log2High)), -mul(n, log2Low)), small);
  const polynomial = add(add(mul(horner32(polynomials.exp4, sum), mul(sum, sum)), sum), 1);
  const half = n >> 1;
  return mul(mul(polynomial, powerOfTwo(half)), powerOfTwo(n - half));
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
  let tail = mul(mul(horner32(polynomials.log4, r), r), squared);
  tail = add(tail, mul(exponent, log2Low));
  tail = add(tail, -mul(squared, 0.5));
  return add(add(r, tail), mul(exponent, log2High));
}

/** Hyperbolic tangent, within 3 ulp; -0 for -0. With `d = e^(-2 |x|) - 1`, its magnitude is `-d / (d + 2)`. */
function tanh32(x: number): number {
  // From e^-60 on, d is -1.
  const power = Math.max(mul(Math.abs(x), -2), -60);
  const shifted = add(mul(power, log2OfE), roundingShift + 127);
  const n = add(shifted, -(roundingShift + 127));
  const factor = powerOfTwo(n);
  // One product suffices: where n is far from 0, the factor makes r's error small.
  const r = add(power, -mul(n, log2));
  // `e^r - 1` is small where d is, so that nothing cancels.
  const small = add(mul(horner32(polynomials.power4, r), mul(r, r)), r);
  const difference = add(mul(factor, small), add(factor, -1));
  const value = Math.abs(fround(difference / add(difference, 2)));
  return x < 0 || Object.is(x, -0) ? -value : value;
}

/** `1 / (1 + e^-x)`, within 4 ulp. */
function sigmoid32(x: number): number {
  const power = exp32(-Math.abs(x));
  return fround((x < 0 ? power : 1) / add(1, power));
}

/** `log(1 + e^x)`, within 4 ulp: with p = e^-|x|, `log(1 + p) = 2 atanh(p / (2 + p))`. */
function softplus32(x: number): number {
  const power = exp32(-Math.abs(x));
  const factor = fround(2 / add(2, power));
  const s = mul(mul(power, factor), 0.5);
  return add(Math.max(x, 0), mul(mul(horner32(polynomials.atanh4, mul(s, s)), factor), power));
}

/** 1 - normalCdf(x) is 0 in float32 from here on. */
const tailEnd = 15;
const tailScale = fround(0.34);

/** `1 / sqrt(2 pi)`. */
const densityScale = fround(0.3989422804014327);

/**
 * Returns `exp(-x^2 / 2)` and `1 - normalCdf(x)` for x in [0, 15]. The square of x is split into an exact one and the
 * rest, because an error of the exponent would count times the square.
 */
function normalTail(magnitude: number): { readonly power: number; readonly tail: number } {
  floatBits[0] = magnitude;
  integerBits[0]! &= -4096;
  const upper = floatBits[0]!;
  const rest = mul(add(magnitude, upper), add(magnitude, -upper));
  const power = expOfSum(mul(mul(upper, upper), -0.5), mul(rest, -0.5));
  const scaled = mul(magnitude, tailScale);
  const t = fround(1 / add(1, scaled));
  return { power, tail: mul(power, mul(horner32(polynomials.tail4, mul(scaled, t)), t)) };
}

/** The standard normal distribution function, `(1 + erf(x / sqrt(2))) / 2`, within 8 ulp. */
function normalCdf32(x: number): number {
  const { tail } = normalTail(Math.min(Math.abs(x), tailEnd));
  return x < 0 ? tail : add(1, -tail);
}

/** `normalCdf(x) + x exp(-x^2 / 2) / sqrt(2 pi)`, the derivative of gelu, within 2^-22. */
function geluSlope32(x: number): number {
  const magnitude = Math.min(Math.abs(x), tailEnd);
  const { power, tail } = normalTail(magnitude);
  const value = add(tail, -mul(magnitude, mul(power, densityScale)));
  return x < 0 ? value : add(1, -value);
}

// Powers are computed in float64 with only IEEE operations, and rounded once: kernels/transcendental.ts has the same
// operations in the same order. exp is range reduction and a polynomial, log is 2 atanh((m - 1) / (m + 1)), also
// a polynomial. Both are accurate to 1e-14, far below the final rounding to float32.

/** Beyond these bounds a float32 result is 0 or infinity. */
const [lowestPower, highestPower] = [-150, 150];
/** Adding and subtracting 1.5 * 2^52 rounds a small float64 to the nearest integer, ties to even. */
const roundingShift64 = 6755399441055744;
/** The sum is log(2). The first term ends in zero bits, so that its small multiples are exact. */
const [log2High64, log2Low64] = [0.6931471803691238, 1.9082149292705877e-10];

/** `e^x`, with x clamped to [-150, 150]. */
function exp64(x: number): number {
  const clamped = Math.min(Math.max(x, lowestPower), highestPower);
  const n = clamped * Math.LOG2E + roundingShift64 - roundingShift64;
  const r = clamped - n * log2High64 - n * log2Low64;
  wordBits[low] = 0;
  wordBits[high] = (n + 1023) << 20;
  return horner(polynomials.exp2, r) * doubleBits[0]!;
}

/** `atanh(s)` for |s| <= 0.1716. */
function atanh64(s: number): number {
  return horner(polynomials.atanh2, s * s) * s;
}

/** Natural logarithm, accurate to 1e-14, of 0, infinity, NaN or a positive normal float64. */
export function log64(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  doubleBits[0] = x;
  let exponent = (wordBits[high]! >> 20) - 1023;
  wordBits[high] = (wordBits[high]! & 0x000fffff) | 0x3ff00000;
  let m = doubleBits[0]!;
  if (m > Math.SQRT2) {
    m *= 0.5;
    exponent += 1;
  }
  const s = (m - 1) / (m + 1);
  return exponent * Math.LN2 + 2 * atanh64(s);
}

/**
 * `x^y` with the special cases of C's powf: `x^0` and `1^y` are 1 even for NaN.
 * A negative x gives NaN unless y is an integer or x is infinite.
 */
function pow32(x: number, y: number): number {
  const magnitude = Math.abs(x);
  if (y === 0) return 1;
  const whole = Math.floor(y) === y;
  if (x < 0 && x !== Number.NEGATIVE_INFINITY && !whole) return Number.NaN;
  const value = magnitude === 1 ? 1 : fround(exp64(y * log64(magnitude)));
  const half = y * 0.5;
  const odd = whole && Math.floor(half) !== half;
  return odd && (x < 0 || Object.is(x, -0)) ? -value : value;
}

/** Text of a primitive. Operands are expressions; `special` returns that of a value without a literal. */
type Expression = (operands: readonly [string, string, string], special: (value: number) => string) => string;

/** A NaN fails both comparisons and propagates through the sum. */
function extremeShader(better: string): Expression {
  return ([a, b]) => `(${a} ${better} ${b} ? ${a} : (${b} ${better}= ${a} ? ${b} : ${a} + ${b}))`;
}

/** 1 if the comparison holds, else 0. */
function comparison(name: string, operator: string): Record<'simd' | 'shader', Expression> {
  return {
    simd: ([x, y]) => `v128.and(f32x4.${name}(${x}, ${y}), f32x4.splat(1.0))`,
    shader: ([a, b]) => `(${a} ${operator} ${b} ? 1.0 : 0.0)`,
  };
}

/** A function of one operand that takes many instructions. */
function long(name: string, shader = `${name}Of`): Pick<Definition, 'simd' | 'shader' | 'vectors'> {
  return { vectors: 2, simd: ([x]) => `${name}4(${x})`, shader: ([a]) => `${shader}(${a})` };
}

interface Definition {
  /** Number of operands. */
  readonly arity: 1 | 2 | 3;
  /** The value in the reference backend, which all exact backends share. */
  readonly js: (a: number, b: number, c: number) => number;
  /**
   * AssemblyScript for four elements, in terms of operands of type v128; an operand may be read 12 bytes past its end.
   * Omitted if kernels/transcendental.ts has the loop over all elements.
   */
  readonly simd?: Expression;
  /** JavaScript for one element, as gpu.js compiles it. */
  readonly shader: Expression;
  /** Number of vectors that the loop of a function in kernels/transcendental.ts takes at once; 4 of other functions. */
  readonly vectors?: 2;
}

/**
 * The scalar functions that every backend implements.
 * Each rounds to float32 once, except those that are exact sequences of float32 operations: exp, log, tanh, sigmoid,
 * softplus, normalCdf and geluSlope. A NaN operand gives NaN, except in the comparisons, in `where`, in `pow(x, 0)` and
 * in `pow(1, y)`.
 * - `maximum(a, b)`, `minimum(a, b)`: the larger, the smaller; 0 is above -0.
 * - `greaterEqual(a, b)`, `greater(a, b)`, `equal(a, b)`: 1 or 0; 0 if either is NaN.
 * - `softplus(a)`: log(1 + e^a); `normalCdf(a)`: the standard normal distribution function; `geluSlope(a)`: the
 *   derivative of `a normalCdf(a)`.
 * - `where(condition, a, b)`: a if the condition is not 0 (NaN counts as not 0), else b.
 */
export const primitives = {
  neg: { arity: 1, js: (a) => -a, simd: ([x]) => `f32x4.neg(${x})`, shader: ([a]) => `-${a}` },
  exp: { arity: 1, js: exp32, ...long('exp', 'Math.exp') },
  log: { arity: 1, js: log32, ...long('log', 'Math.log') },
  add: {
    arity: 2,
    js: (a, b) => fround(a + b),
    simd: ([x, y]) => `f32x4.add(${x}, ${y})`,
    shader: ([a, b]) => `${a} + ${b}`,
  },
  sub: {
    arity: 2,
    js: (a, b) => fround(a - b),
    simd: ([x, y]) => `f32x4.sub(${x}, ${y})`,
    shader: ([a, b]) => `${a} - ${b}`,
  },
  mul: {
    arity: 2,
    js: (a, b) => fround(a * b),
    simd: ([x, y]) => `f32x4.mul(${x}, ${y})`,
    shader: ([a, b]) => `${a} * ${b}`,
  },
  div: {
    arity: 2,
    js: (a, b) => fround(a / b),
    simd: ([x, y]) => `f32x4.div(${x}, ${y})`,
    shader: ([a, b]) => `${a} / ${b}`,
  },
  maximum: {
    arity: 2,
    js: (a, b) => Math.max(a, b),
    simd: ([x, y]) => `f32x4.max(${x}, ${y})`,
    shader: extremeShader('>'),
  },
  greaterEqual: { arity: 2, js: (a, b) => (a >= b ? 1 : 0), ...comparison('ge', '>=') },
  equal: { arity: 2, js: (a, b) => (a === b ? 1 : 0), ...comparison('eq', '===') },
  where: {
    arity: 3,
    js: (a, b, c) => (a !== 0 ? b : c),
    simd: ([x, y, z]) => `v128.bitselect(${y}, ${z}, f32x4.ne(${x}, f32x4.splat(0.0)))`,
    shader: ([a, b, c]) => `(${a} !== 0.0 ? ${b} : ${c})`,
  },
  abs: { arity: 1, js: (a) => Math.abs(a), simd: ([x]) => `f32x4.abs(${x})`, shader: ([a]) => `Math.abs(${a})` },
  sqrt: {
    arity: 1,
    js: (a) => fround(Math.sqrt(a)),
    simd: ([x]) => `f32x4.sqrt(${x})`,
    shader: ([a]) => `Math.sqrt(${a})`,
  },
  tanh: { arity: 1, js: tanh32, ...long('tanh') },
  sigmoid: { arity: 1, js: sigmoid32, ...long('sigmoid') },
  softplus: { arity: 1, js: softplus32, ...long('softplus') },
  normalCdf: { arity: 1, js: normalCdf32, ...long('normalCdf') },
  geluSlope: { arity: 1, js: geluSlope32, ...long('geluSlope') },
  pow: {
    arity: 2,
    js: pow32,
    shader: ([a, b], special) => `powerOf(${a}, ${b}, ${special(Number.NaN)}, ${special(Number.POSITIVE_INFINITY)})`,
  },
  minimum: {
    arity: 2,
    js: (a, b) => Math.min(a, b),
    simd: ([x, y]) => `f32x4.min(${x}, ${y})`,
    shader: extremeShader('<'),
  },
  greater: { arity: 2, js: (a, b) => (a > b ? 1 : 0), ...comparison('gt', '>') },
} as const satisfies Record<string, Definition>;

/** The name of an elementwise operation that every backend has. */
export type Primitive = keyof typeof primitives;

/** Instructions of the kernels' map programs that are no primitives; products and results are each rounded. */
const shortcuts = {
  /** `x + y * z`. */
  addProduct: { simd: ([x, y, z]) => `f32x4.add(${x}, f32x4.mul(${y}, ${z}))` },
  /** `x - y * z`. */
  subProduct: { simd: ([x, y, z]) => `f32x4.sub(${x}, f32x4.mul(${y}, ${z}))` },
} as const satisfies Record<string, Pick<Definition, 'simd'>>;

/** The instructions of map programs; each one's code is its position. */
export const instructions: Readonly<Record<string, Partial<Definition>>> = {
  copy: { simd: ([x]) => x },
  ...primitives,
  ...shortcuts,
};

type InstructionName = Primitive | keyof typeof shortcuts | 'copy' | 'momentumStep';

/**
 * Codes of the instructions. `momentumStep` is a step with momentum in one loop: `sum = x * a + y * b`, then
 * `difference = z - c * sum`, with scalars a, b and c. It replaces the code of the first instruction, a `mul`; the
 * `addProduct` and the `subProduct` follow unchanged.
 */
export const instructionCodes = Object.fromEntries(
  [...Object.keys(instructions), 'momentumStep'].map((name, code) => [name, code]),
) as Readonly<Record<InstructionName, number>>;

/** Floats in a chunk of a map program: few enough that the operands of an instruction stay in the L1 cache. */
export const chunkLength = 512;

/** Text of a polynomial in `variable`. */
function polynomialText(coefficients: readonly number[], variable: string): string {
  const texts = coefficients.map((value) =>
    value < 0 ? `(-${-value})` : Number.isInteger(value) ? `${value}.0` : `${value}`,
  );
  return texts.reduce((sofar, coefficient) => `(${sofar} * ${variable} + ${coefficient})`);
}

/** Functions that the shaders of primitives call: name, parameters, body. */
export const shaderFunctions: readonly (readonly [name: string, parameters: readonly string[], body: string])[] = [
  // Below a quarter `1 - exp` would cancel, so a series is used.
  [
    'tanhOf',
    ['x'],
    `const m = Math.abs(x); const q = x * x; const p = Math.exp(-2.0 * m); const big = (1.0 - p) / (1.0 + p);
    const small = x * (1.0 + q * (q * (0.13333333333 + q * (q * 0.0218694885 - 0.0539682540)) - 0.33333333333));
    return m < 0.25 ? small : (x < 0.0 ? -big : big);`,
  ],
  ['sigmoidOf', ['x'], 'const p = Math.exp(-Math.abs(x)); return x < 0.0 ? p / (1.0 + p) : 1.0 / (1.0 + p);'],
  // log(1 + p) = 2 atanh(p / (2 + p)), as a series.
  [
    'softplusOf',
    ['x'],
    `const p = Math.exp(-Math.abs(x)); const s = p / (2.0 + p); const q = s * s;
    const series = ${polynomialText(polynomials.atanh4, 'q')};
    return (x > 0.0 ? x : 0.0) + 2.0 * s * series;`,
  ],
  [
    'normalCdfOf',
    ['x'],
    `const m = Math.abs(x); const z = 0.34 * m; const t = 1.0 / (1.0 + z); const v = z * t;
    const upper = Math.exp(-0.5 * m * m) * (${polynomialText(polynomials.tail4, 'v')} * t);
    return x < 0.0 ? upper : 1.0 - upper;`,
  ],
  [
    'geluSlopeOf',
    ['x'],
    `const m = Math.abs(x) < 15.0 ? Math.abs(x) : 15.0; const z = 0.34 * m; const t = 1.0 / (1.0 + z); const v = z * t;
    const upper = Math.exp(-0.5 * m * m) * (${polynomialText(polynomials.tail4, 'v')} * t - m * 0.3989422804);
    return x < 0.0 ? upper : (x >= 0.0 ? 1.0 - upper : x);`,
  ],
  // Limits as in C's powf; values without a literal are parameters.
  [
    'powerOf',
    ['x', 'y', 'notANumber', 'infinity'],
    `const m = Math.abs(x); const half = 0.5 * y; const whole = Math.floor(y) === y ? 1.0 : 0.0; const odd = whole === 1.0 && Math.floor(half) !== half && x < 0.0 ? 1.0 : 0.0;
    const zero = y > 0.0 ? 0.0 : infinity;
    const value = m === 1.0 ? 1.0 : (m === 0.0 ? zero : Math.pow(m, y));
    const signed = odd === 1.0 ? -value : value;
    return y === 0.0 ? 1.0 : (x < 0.0 && whole === 0.0 ? notANumber : signed);`,
  ],
];

/** A directed acyclic graph of primitives; a node that is used twice is computed once. */
export type Formula =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'apply'; readonly primitive: Primitive; readonly operands: readonly Formula[] };

const inputIndex = wholeNumber(0);

/** Makes a formula that reads the call's input number `index` at the current element. */
export function input(index: number): Formula {
  checkArgument('input', 'the index', index, inputIndex);
  return { kind: 'input', index };
}

/** Makes a formula with a constant value, the float32 nearest to `value`. */
export function constant(value: number): Formula {
  checkArgument('constant', 'the value', value, number);
  return { kind: 'constant', value: Math.fround(value) };
}

const primitiveName = oneOf(...Object.keys(primitives));
const formulaKind: Kind = { expected: 'a number or a formula', accepts: (value) => isObject(value) && 'kind' in value };

/** Makes a formula that applies a primitive to operands; a number stands for a constant. */
export function apply(primitive: Primitive, ...operands: readonly (Formula | number)[]): Formula {
  checkArgument('apply', 'the primitive', primitive, primitiveName);
  const { arity } = primitives[primitive];
  for (const operand of operands)
    if (typeof operand !== 'number') checkArgument('apply', 'an operand', operand, formulaKind);
  if (operands.length !== arity) {
    throw new Error(`formula: ${primitive} takes ${arity} operands, got ${operands.length}`);
  }
  const formulas = operands.map((operand) => (typeof operand === 'number' ? constant(operand) : operand));
  return { kind: 'apply', primitive, operands: formulas };
}

/** Rebuilds a formula bottom-up; `change` gets each node with rewritten operands. Shared nodes stay shared. */
export function rewrite(formula: Formula, change: (node: Formula) => Formula): Formula {
  const done = new Map<Formula, Formula>();
  const visit = (node: Formula): Formula => {
    const known = done.get(node);
    if (known !== undefined) return known;
    const result = change(node.kind === 'apply' ? { ...node, operands: node.operands.map(visit) } : node);
    done.set(node, result);
    return result;
  };
  return visit(formula);
}

/** Replaces each input of a formula by another formula. */
export function substituteInputs(formula: Formula, replace: (index: number) => Formula): Formula {
  checkArgument('substituteInputs', 'the formula', formula, formulaKind);
  checkArgument('substituteInputs', 'what replaces an input', replace, callback);
  return rewrite(formula, (node) => (node.kind === 'input' ? replace(node.index) : node));
}

/** Returns every node once, operands before the nodes that use them. */
export function topological(formula: Formula): Formula[] {
  const seen = new Set<Formula>();
  const order: Formula[] = [];
  const visit = (node: Formula): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'apply') node.operands.forEach(visit);
    order.push(node);
  };
  visit(formula);
  return order;
}

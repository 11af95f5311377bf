/** Scalar functions in the language of gpu.js, which translates them for every mode into the shaders that call them. */

type NumberType = 'Number' | 'Integer';

/** A function as gpu.js takes it; arguments and result have the same type by default. */
export function kernelFunction(
  name: string,
  parameters: readonly string[],
  body: string,
  returnType: NumberType = 'Number',
  argumentType: NumberType = returnType,
) {
  const argumentTypes = Object.fromEntries(parameters.map((parameter) => [parameter, argumentType]));
  return { source: `function ${name}(${parameters.join(', ')}) { ${body} }`, argumentTypes, returnType };
}

/**
 * Minimax polynomial in t = 1 / (1 + x / 5) for the upper tail of the normal distribution, times exp(x^2 / 2) / t; as
 * in float64.ts.
 */
const tail = [
  -0.010921304873665497, 0.08383905298934113, -0.2687204815016027, 0.4728461035175983, -0.5427323935986625,
  0.46976546429777244, -0.25035685627124804, 0.16229160111190444, 0.007831160828161461, 0.07139938874867058,
  0.06838091567227884, 0.07681572904501807, 0.07977264159081136, 0.0797889784431749,
]
  .map((coefficient) => (coefficient < 0 ? `(-${-coefficient})` : String(coefficient)))
  .reduce((sofar, coefficient) => `(${sofar} * t + ${coefficient})`);

export const kernelFunctions = [
  // Below a quarter `1 - exp` would cancel, so a series is used.
  kernelFunction(
    'tanhOf',
    ['x'],
    `const m = Math.abs(x); const q = x * x; const p = Math.exp(-2.0 * m); const big = (1.0 - p) / (1.0 + p);
    const small = x * (1.0 + q * (q * (0.13333333333 + q * (q * 0.0218694885 - 0.0539682540)) - 0.33333333333));
    return m < 0.25 ? small : (x < 0.0 ? -big : big);`,
  ),
  kernelFunction(
    'sigmoidOf',
    ['x'],
    'const p = Math.exp(-Math.abs(x)); return x < 0.0 ? p / (1.0 + p) : 1.0 / (1.0 + p);',
  ),
  // log(1 + p) = 2 atanh(p / (2 + p)), as a series.
  kernelFunction(
    'softplusOf',
    ['x'],
    `const p = Math.exp(-Math.abs(x)); const s = p / (2.0 + p); const q = s * s;
    const series = 1.0 + q * (0.3333333333 + q * (0.2 + q * (0.1428571429 + q * (0.1111111111 + q * (0.0909090909 + q * 0.0769230769)))));
    return (x > 0.0 ? x : 0.0) + 2.0 * s * series;`,
  ),
  kernelFunction(
    'normalCdfOf',
    ['x'],
    `const m = Math.abs(x); const t = 1.0 / (1.0 + m * 0.2); const upper = Math.exp(-0.5 * m * m) * (${tail} * t);
    return x < 0.0 ? upper : 1.0 - upper;`,
  ),
  // Limits as in C's powf; values without a literal are parameters.
  kernelFunction(
    'powerOf',
    ['x', 'y', 'notANumber', 'infinity'],
    `const m = Math.abs(x); const half = 0.5 * y; const whole = Math.floor(y) === y ? 1.0 : 0.0; const odd = whole === 1.0 && Math.floor(half) !== half && x < 0.0 ? 1.0 : 0.0;
    const zero = y > 0.0 ? 0.0 : infinity;
    const value = m === 1.0 ? 1.0 : (m === 0.0 ? zero : Math.pow(m, y));
    const signed = odd === 1.0 ? -value : value;
    return y === 0.0 ? 1.0 : (x < 0.0 && whole === 0.0 ? notANumber : signed);`,
  ),
];

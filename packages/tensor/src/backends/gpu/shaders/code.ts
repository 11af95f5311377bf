/** Text of shaders that all of them share. */

import { contiguousStrides, type Shape } from '../../../shape.ts';
import { cellLength, cellsOf, type Device, type DeviceStretch, type KernelSource } from '../device.ts';

/** Properties of a device that its shaders depend on. */
export type Target = Pick<Device, 'dialect' | 'maxThreads' | 'quarters'>;

/** Positions in a cell. */
export const lanes = [0, 1, 2, 3] as const;

/** An operand: one of the arrays a kernel reads, from an offset on. */
export interface Source {
  /** Index of the array. */
  readonly input: number;
  /** Offset in values. */
  readonly offset: number;
}

export type Threads = KernelSource['threads'];

/** Creates a kernel with one thread per cell, counted by `this.thread.x`. */
export function flatKernel(inputs: number, length: number, lines: readonly string[]): KernelSource {
  return { inputs, length, threads: [cellsOf(length), 1, 1], body: lines.join('\n') };
}

/** Whether a device supports these thread counts. */
export function fits({ maxThreads }: Target, [, y, z]: Threads): boolean {
  return y <= maxThreads[0] && z <= maxThreads[1];
}

/** Whether a length is a whole number of cells. */
export function isWhole(length: number): boolean {
  return length % cellLength === 0;
}

/** Position of a flat thread's value in its result. */
export function elementAt(lane: number): string {
  return plus('4 * this.thread.x', lane);
}

/** `factor * expression`, simplified. Whole numbers only. */
export function times(factor: number, expression: string): string {
  if (factor === 0) return '0';
  return factor === 1 ? expression : `${factor} * (${expression})`;
}

export function plus(...terms: readonly (string | number)[]): string {
  const nonzero = terms.filter((term) => String(term) !== '0');
  return nonzero.length === 0 ? '0' : nonzero.join(' + ');
}

/** `expression / divisor` of whole numbers, rounded down. */
export function quotient(expression: string, divisor: number): string {
  return divisor === 1 ? expression : `quotient(${expression}, ${divisor})`;
}

export function remainder(expression: string, divisor: number): string {
  return divisor === 1 ? '0' : `remainder(${expression}, ${divisor})`;
}

/** Coordinates of a flat position in a shape, outermost axis first. */
export function coordinatesOf(place: string, shape: readonly number[]): string[] {
  let below = 1;
  const coordinates = shape.toReversed().map((length, fromEnd) => {
    const upper = quotient(place, below);
    below *= length;
    return fromEnd === shape.length - 1 ? upper : remainder(upper, length);
  });
  return coordinates.reverse();
}

/** Sum of the coordinates, each times its stride. */
export function dotStrides(strides: readonly number[], coordinates: readonly string[]): string {
  return plus(...strides.map((stride, axis) => times(stride, coordinates[axis]!)));
}

/** A float32 literal that gpu.js keeps as a float. NaN and infinities have no literal. */
export function literal(value: number): string {
  const text = String(Math.abs(value));
  return value < 0 || Object.is(value, -0) ? `(-${text})` : text;
}

/** Repeats statements for `i` from 0 to `count` - 1. */
export function loop(count: number, statements: readonly string[]): string[] {
  return [`for (let i = 0; i < ${count}; i++) {`, ...statements, '}'];
}

/** One sum per lane: names, declarations, and the statement that returns them. */
export const sums = lanes.map((lane) => `s${lane}`);
export const zeroSums = sums.map((sum) => `let ${sum} = 0.0;`);
export const returnSums = returnCell(sums);

/** Body that adds to the sums in a loop and returns them. */
export function sumLoop(count: number, add: readonly string[]): string[] {
  return [...zeroSums, ...loop(count, add), returnSums];
}

export function returnCell(values: readonly string[]): string {
  return `return [${values.join(', ')}];`;
}

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

/** Axes with their strides in the values (`from`) and in the target (`to`), the largest target stride first. */
function axesOf(shape: Shape, strides: readonly number[]) {
  const contiguous = contiguousStrides(shape);
  return shape
    .map((length, axis) => ({ length, from: contiguous[axis]!, to: strides[axis]! }))
    .filter(({ length }) => length > 1)
    .sort((one, other) => other.to - one.to);
}

/** Whether each axis steps past everything that the smaller ones reach, so that a position determines its element. */
export function isNested(shape: Shape, strides: readonly number[]): boolean {
  let reach = 0;
  return axesOf(shape, strides)
    .reverse()
    .every(({ length, to }) => {
      const over = to > reach;
      reach += (length - 1) * to;
      return over;
    });
}

/** Array 0 holds the values, contiguous; array 1 holds `length` old values of the target from `offset` on. */
export function stridedWriteShader(
  { shape, strides, length, offset }: { shape: Shape; strides: readonly number[]; length: number; offset: number },
  { dialect }: Target,
): KernelSource {
  const axes = axesOf(shape, strides);
  const lines = lanes.flatMap((lane) => {
    let rest = elementAt(lane);
    const old = dialect.value(1, plus(rest, offset));
    const conditions: string[] = [];
    const terms = axes.map(({ length: count, from, to }) => {
      const index = quotient(rest, to);
      rest = remainder(rest, to);
      conditions.push(`${index} < ${count}`);
      return times(from, index);
    });
    if (rest !== '0') conditions.push(`${rest} === 0`);
    return [
      `let v${lane} = ${old};`,
      `if (${conditions.join(' && ')}) { v${lane} = ${dialect.value(0, plus(...terms))}; }`,
    ];
  });
  return flatKernel(2, length, [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}

type Part = Source & Pick<DeviceStretch, 'length'>;

export function concatenateShader(parts: readonly Part[], inputs: number, { dialect }: Target): KernelSource {
  const cells: string[] = [];
  const values: string[] = [];
  let start = 0;
  parts.forEach(({ input, offset, length }, part) => {
    const end = start + length;
    const shift = offset - start;
    if (isWhole(start) && isWhole(offset) && length >= cellLength) {
      // Cells that lie entirely in this part.
      const cell = dialect.cell(input, plus('this.thread.x', shift / cellLength));
      cells.push(
        `if (this.thread.x >= ${start / cellLength} && this.thread.x < ${Math.floor(end / cellLength)}) {`,
        `const c${part} = ${cell};`,
        returnCell(lanes.map((lane) => `c${part}[${lane}]`)),
        '}',
      );
    }
    for (const lane of lanes) {
      const element = elementAt(lane);
      const value = dialect.value(input, plus(element, shift));
      values.push(`if (${element} >= ${start} && ${element} < ${end}) { v${lane} = ${value}; }`);
    }
    start = end;
  });
  const zeros = lanes.map((lane) => `let v${lane} = 0.0;`);
  return flatKernel(inputs, start, [...cells, ...zeros, ...values, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}

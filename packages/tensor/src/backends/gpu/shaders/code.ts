/** Building blocks of the shaders: whole-number expressions, statements, threads, and positions of operands. */
import { cellLength, cellsOf, type Device, type KernelSource } from '../device.ts';

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

/** What the kernel texts share: whole-number expressions, threads, and where an operand lies. */
import { cellLength, cellsOf, type Device } from '../device.ts';

export const lanes = [0, 1, 2, 3] as const;

/** An operand: one of the arrays a kernel reads, from an offset on. */
export interface Source {
  /** Index of the array. */
  readonly input: number;
  /** In values. */
  readonly offset: number;
}

export type Threads = readonly [number, number, number];

/** One thread for each cell, without structure. */
export function flatThreads(length: number): Threads {
  return [cellsOf(length), 1, 1];
}

/** Whether a device can count threads like these. */
export function fits(device: Pick<Device, 'maxThreads'>, [, y, z]: Threads): boolean {
  return y <= device.maxThreads[0] && z <= device.maxThreads[1];
}

export function isWhole(length: number): boolean {
  return length % cellLength === 0;
}

/** `factor * expression`, without what changes nothing. Whole numbers only. */
export function times(factor: number, expression: string): string {
  if (factor === 0) return '0';
  return factor === 1 ? expression : `${factor} * (${expression})`;
}

export function plus(...terms: readonly (string | number)[]): string {
  const kept = terms.filter((term) => String(term) !== '0');
  return kept.length === 0 ? '0' : kept.join(' + ');
}

/** `expression / divisor` of whole numbers, rounded down. */
export function quotient(expression: string, divisor: number): string {
  return divisor === 1 ? expression : `quotient(${expression}, ${divisor})`;
}

export function remainder(expression: string, divisor: number): string {
  return divisor === 1 ? '0' : `remainder(${expression}, ${divisor})`;
}

/** A float32 as a literal that gpu.js keeps a float. Not for NaN and infinities, which have no literal. */
export function literal(value: number): string {
  const text = String(Math.abs(value));
  return value < 0 || Object.is(value, -0) ? `(-${text})` : text;
}

/** Flattens nested lists into numbers with a shape. */

import { maxNesting } from '../limits.ts';
import { shownLine } from '../shown.ts';

/** Returns the lengths of the lists from the outside in, by the first list of each level, up to `maxNesting` levels. */
export function nestedShape(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; isList(inner) && shape.length < maxNesting; inner = inner[0]) shape.push(inner.length);
  return shape;
}

/**
 * Writes the numbers into `into`, starting at `offset`.
 * @returns the fault as `expected …, got …`; undefined if the lists have this shape and finite float32 numbers
 */
export function flatten(
  value: unknown,
  shape: readonly number[],
  into: Float32Array,
  offset: number,
): string | undefined {
  const [length, ...rest] = shape;
  if (length === undefined) {
    const rounded = typeof value === 'number' ? Math.fround(value) : Number.NaN;
    if (!Number.isFinite(rounded)) return `expected finite numbers, got ${shown(value)}`;
    into[offset] = rounded;
    return undefined;
  }
  if (!isList(value)) return `expected a list of ${length}, got ${shown(value)}`;
  if (value.length !== length) return `expected a list of ${length}, got one of ${value.length}`;
  const size = rest.reduce((product, one) => product * one, 1);
  for (let index = 0; index < length; index += 1) {
    const fault = flatten(value[index], rest, into, offset + index * size);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Returns the position of the first number that is not a whole number from 0 to 255; -1 if all are bytes. */
export function firstBeyondBytes(values: Float32Array): number {
  return values.findIndex((value) => !Number.isInteger(value) || value < 0 || value > 255);
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function shown(value: unknown): string {
  if (typeof value === 'number') return `${value}`;
  if (typeof value === 'bigint') return `${value}n, a BigInt`;
  if (isList(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return shownLine(JSON.stringify(value) ?? typeof value, 40);
}

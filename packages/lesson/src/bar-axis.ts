/** The axis that all bars of a chart share: a bar that fills it has the value at the axis's end. */
import type { Bars } from './exhibit.ts';
import { percent, significant } from './number-text.ts';

export interface BarAxis {
  /** At most 0. */
  readonly from: number;
  /** At least 0. */
  readonly to: number;
  /** Labels of the ends. */
  readonly fromText: string;
  readonly toText: string;
}

/** Leading digits that an end may have. */
const ends = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** Returns an axis from 0 to 100 % for probabilities, else one whose round ends enclose 0 and all values. */
export function barAxis({ bars, areProbabilities = false }: Pick<Bars, 'bars' | 'areProbabilities'>): BarAxis {
  if (areProbabilities) return { from: 0, to: 1, fromText: percent(0, 0), toText: percent(1, 0) };
  const values = bars.map(({ value }) => value).filter(Number.isFinite);
  const from = -roundedUp(Math.max(0, ...values.map((value) => -value)));
  const to = roundedUp(Math.max(0, ...values));
  // If all values are 0, the axis still needs a length.
  const axis = from === 0 && to === 0 ? { from: 0, to: 1 } : { from: from + 0, to };
  return { ...axis, fromText: significant(axis.from), toText: significant(axis.to) };
}

function roundedUp(size: number): number {
  if (size === 0) return 0;
  const power = 10 ** Math.floor(Math.log10(size));
  const end = ends.find((digits) => digits * power >= size);
  return end === undefined ? size : Number((end * power).toPrecision(3));
}

/** Returns the start of a bar, from the left end of the axis, and its length, both as fractions of the axis. */
export function barOn({ from, to }: BarAxis, value: number): { readonly start: number; readonly length: number } {
  const zero = -from / (to - from);
  if (!Number.isFinite(value)) return { start: zero, length: 0 };
  const length = Math.abs(value) / (to - from);
  return { start: value < 0 ? zero - length : zero, length };
}

/** Figures as both commands print them: numbers, spreads, tables. */
import { formatTable } from '@lockstep/command';
import type { Spread } from './statistics.ts';

/** Whole, with commas: 101,770. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Three significant digits with at most two decimals. */
export function milliseconds(ms: number): string {
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** A ratio: 1.04x. */
export function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

/** The ends of a spread: (0.52 .. 0.61). */
export function ends({ min, max }: Spread, text: (value: number) => string): string {
  return `(${text(min)} .. ${text(max)})`;
}

/** @param headers one for each column; the first, for names, may be empty */
export function figuresTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = headers.map((header, index) => ({ header, align: index === 0 ? 'left' : 'right' }) as const);
  return formatTable(columns, rows, '  ');
}

/** Numbers, and tables of text, for the terminal. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
  /** Column title; a table without any begins with its first row. */
  readonly header?: string;
  /** `left`, for text, by default; use `right` for numbers. */
  readonly align?: 'left' | 'right';
}

/**
 * Lines of cells, padded to their column's width and two spaces apart, without a trailing line break.
 * @param rows one cell for each column; a cell may contain ANSI colors, which have no width
 * @param indent precedes each line
 */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], indent = ''): string {
  const hasHeader = columns.some(({ header }) => header !== undefined);
  const lines = hasHeader ? [columns.map(({ header = '' }) => header), ...rows] : rows;
  for (const { length } of rows) {
    if (length !== columns.length) throw new Error(`table: expected ${columns.length} cells in a row, got ${length}`);
  }
  const widths = columns.map((_, column) => Math.max(0, ...lines.map((cells) => visibleWidth(cells[column]!))));
  const pad = (cell: string, column: number): string => {
    const padding = ' '.repeat(widths[column]! - visibleWidth(cell));
    return columns[column]!.align === 'right' ? padding + cell : cell + padding;
  };
  return lines.map((cells) => `${indent}${cells.map(pad).join('  ')}`.trimEnd()).join('\n');
}

/** Number of characters that a terminal shows, without color codes. */
function visibleWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/** The words of a text in lines of at most `columns` characters, unless a single word is longer. */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/** Four significant digits, with an exponent if the number is huge or tiny: 856700, `8.567e+17`. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

/** Four decimals, or four significant digits if the number is too large or too small for them. */
export function decimals(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e4 || size < 1e-3) ? significant(value) : value.toFixed(4);
}

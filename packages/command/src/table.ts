/** Tables of text for the terminal. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
  /** Stands above the cells; a table in which no column has one begins with its first row. */
  readonly header?: string;
  /** `left`, for text, by default; `right` suits numbers. */
  readonly align?: 'left' | 'right';
}

/**
 * Lines of cells, padded to the widest of their column and two spaces apart, without a line break at the end.
 * @param rows one cell for each column; a cell may hold ANSI colors, which take no width
 * @param indent goes before each line
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

/** Characters that a terminal shows, without the codes of colors. */
function visibleWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

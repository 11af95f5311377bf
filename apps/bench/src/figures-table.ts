/** Tables of figures: a name in the first column, numbers behind it. */
import { formatTable } from '@lockstep/command';

/** @param headers one for each column; that of the names may be empty */
export function figuresTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = headers.map((header, index) => ({
    header,
    align: index === 0 ? ('left' as const) : ('right' as const),
  }));
  return formatTable(columns, rows, '  ');
}

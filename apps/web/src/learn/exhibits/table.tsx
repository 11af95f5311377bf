/** A table, which scrolls where it is wider than the screen. */
import type { Table } from '@lockstep/lesson';

export function TableView({ exhibit: { caption, header, rows } }: { readonly exhibit: Table }) {
  const isNumeric = (cell: string | number): boolean => typeof cell === 'number' || /^-?\d/.test(cell);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table class="lesson-table">
        <thead>
          <tr>
            {header.map((text, column) => (
              <th key={text} scope="col" class={rows.every((row) => isNumeric(row[column]!)) ? 'number' : ''}>
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={rows.every((each) => isNumeric(each[column]!)) ? 'number' : ''}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A table with text that wraps. A table that is still wider than its card scrolls. */
import { isNumericColumn, type Table } from '@lockstep/lesson';

/** Maximum length of a cell that stays on one line, in characters. */
const mostUnbroken = 12;

export function TableView({ exhibit }: { readonly exhibit: Table }) {
  const { caption, header, rows } = exhibit;
  const classes = header.map((_, column) => {
    if (isNumericColumn(exhibit, column)) return 'number';
    return rows.every((row) => String(row[column]).length <= mostUnbroken) ? 'short' : '';
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table class="lesson-table">
        <thead>
          <tr>
            {header.map((text, column) => (
              <th key={column} scope="col" class={classes[column]}>
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={classes[column]}>
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

/** A matrix, as numbers if the exhibit asks for them, otherwise as shades. */
import type { Grid } from '@lockstep/lesson';
import { useEffect, useRef } from 'preact/hooks';
import { paintShades } from './shade.ts';

export function GridView({ exhibit }: { readonly exhibit: Grid }) {
  return exhibit.showsNumbers ? <Numbers exhibit={exhibit} /> : <Shades exhibit={exhibit} />;
}

function Numbers({ exhibit: { caption, rows, columns, values } }: { readonly exhibit: Grid }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table class="matrix-numbers">
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            <tr key={row}>
              {values.slice(row * columns, (row + 1) * columns).map((value, column) => (
                <td key={column}>{value}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Shades({ exhibit }: { readonly exhibit: Grid }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { rows, columns, values, caption } = exhibit;
  useEffect(() => {
    const low = Math.min(0, ...values);
    return paintShades(canvas.current!, { rows, columns, values, low, high: Math.max(...values) });
  }, [exhibit]);
  return <canvas ref={canvas} class="shades" width={columns} height={rows} role="img" aria-label={caption} />;
}

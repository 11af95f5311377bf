/** A sample as people see it: a grayscale or color picture, or the values of a table row. */
import { floatsFrom, type RunMessage } from '@lockstep/protocol';
import { significant } from '../look/format.ts';
import { ink, type Palette, Raster } from '../view/raster.tsx';
import { isPicture } from '../watch/run-store.ts';
import { rowCellsOf } from '../watch/table-row.ts';

interface SampleViewProps {
  readonly run: Pick<RunMessage, 'sampleField' | 'columns'>;
  /** Bytes as in a task. */
  readonly sample: Uint8Array;
  readonly label: string;
}

/** Maximum number of cells or values shown. */
const mostValues = 12;

export function SampleView({ run, sample, label }: SampleViewProps) {
  const { dtype, shape } = run.sampleField;
  const values = dtype === 'u8' ? sample : floatsFrom(sample);
  const [rows = 1, columns = 1, channels] = shape;
  if (run.columns) {
    const cells = rowCellsOf(run.columns.slice(0, mostValues), values);
    return (
      <span class="sample-cells">
        {cells.map(({ name, text }, index) => (
          <span key={index}>
            <bdi>{name}</bdi> <bdi class="cell-text">{text}</bdi>
          </span>
        ))}
        {run.columns.length > mostValues && <span>…</span>}
      </span>
    );
  }
  if (!isPicture(run)) {
    const shown = Array.from(values.subarray(0, mostValues), (value) => significant(value));
    return <p class="sample-values">{values.length > mostValues ? [...shown, '…'].join(', ') : shown.join(', ')}</p>;
  }
  // Floats have any range: the minimum is shown as 0 is, the maximum as 255.
  const range = values instanceof Uint8Array ? { low: 0, high: 255 } : rangeOf(values);
  const palette: Palette = channels === 3 ? { type: 'color', ...range } : { ...ink, ...range };
  return <Raster values={values} rows={rows} columns={columns} palette={palette} label={label} />;
}

function rangeOf(values: Float32Array): { readonly low: number; readonly high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return { low, high };
}

/** A sample as people see it: a grayscale or color picture, or the values of a table row. */
import { floatsFrom } from '@lockstep/protocol';
import { significant } from '../look/format.ts';
import { isPicture, type Run } from '../watch/run-store.ts';
import { cellsOf } from '../watch/table-row.ts';
import { ColorImage } from './color-image.tsx';
import { GrayImage } from './gray-image.tsx';

interface SampleViewProps {
  readonly run: Pick<Run, 'sampleType' | 'sampleShape' | 'columns'>;
  /** Bytes as in a task. */
  readonly sample: Uint8Array;
  readonly label: string;
}

/** Maximum number of cells or values shown. */
const mostValues = 12;

export function SampleView({ run, sample, label }: SampleViewProps) {
  const { sampleType, sampleShape } = run;
  const values = sampleType === 'u8' ? sample : floatsFrom(sample);
  const [rows = 1, columns = 1, channels] = sampleShape;
  if (run.columns) {
    const cells = cellsOf(run.columns.slice(0, mostValues), values);
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
  const Image = channels === 3 ? ColorImage : GrayImage;
  return <Image pixels={bytesOfPicture(values)} rows={rows} columns={columns} label={label} />;
}

/** Scales floats, which have any range: the minimum becomes 0, the maximum 255. */
function bytesOfPicture(values: Uint8Array | Float32Array): Uint8Array {
  if (values instanceof Uint8Array) return values;
  let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [least, largest] = [Math.min(least, value), Math.max(largest, value)];
  const range = largest - least || 1;
  return Uint8Array.from(values, (value) => Math.round((255 * (value - least)) / range));
}

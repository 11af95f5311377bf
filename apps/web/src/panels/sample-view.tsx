/** A sample as people see it: a grayscale or color picture, or the values of a table row. */
import { decodeTokens, type SampleValues, type Vocabulary } from '@lockstep/data';
import { type RunMessage, valuesFrom } from '@lockstep/protocol';
import { valuesText } from '../look/format.ts';
import { ink, type Palette, Raster } from '../view/raster.tsx';
import { isPicture, vocabularyOf } from '../watch/run-store.ts';
import { rowCellsOf } from '../watch/table-row.ts';

interface SampleViewProps {
  readonly run: Pick<RunMessage, 'sampleField' | 'columns' | 'vocabulary'>;
  /** Bytes as in a task. */
  readonly sample: Uint8Array;
  readonly label: string;
}

/** Maximum number of cells or values shown. */
const mostValues = 12;

export function SampleView({ run, sample, label }: SampleViewProps) {
  const { dtype, shape } = run.sampleField;
  const values = valuesFrom(sample, dtype);
  const vocabulary = vocabularyOf(run);
  if (vocabulary) return <p class="sample-values">{sampleText(vocabulary, values)}</p>;
  const [rows = 1, columns = 1, channels] = shape;
  if (run.columns) {
    const cells = rowCellsOf(run.columns.slice(0, mostValues), values);
    return (
      <span class="row sample-cells">
        {cells.map(({ name, text }, index) => (
          <span key={index}>
            <bdi>{name}</bdi> <bdi class="cell-text">{text}</bdi>
          </span>
        ))}
        {run.columns.length > mostValues && <span>…</span>}
      </span>
    );
  }
  if (!isPicture(run)) return <p class="sample-values">{valuesText(values, mostValues)}</p>;
  // Floats have any range: the minimum is shown as 0 is, the maximum as 255.
  const range = values instanceof Uint8Array ? { low: 0, high: 255 } : rangeOf(values);
  const palette: Palette = channels === 3 ? { type: 'color', ...range } : { ...ink, ...range };
  return <Raster values={values} rows={rows} columns={columns} palette={palette} label={label} />;
}

const mostWords = 40;

/** Returns the beginning of a text, whose words are in small letters and without punctuation. */
export function sampleText(vocabulary: Vocabulary, tokens: SampleValues): string {
  const end = tokens.indexOf(0);
  const words = tokens.subarray(0, end < 0 ? undefined : end);
  const shown = decodeTokens(vocabulary, words.subarray(0, mostWords));
  return words.length > mostWords ? `${shown} …` : shown || '–';
}

function rangeOf(values: Exclude<SampleValues, Uint8Array>): { readonly low: number; readonly high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return { low, high };
}

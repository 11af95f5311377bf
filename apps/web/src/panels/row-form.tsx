/** A form for a row of the run's table, with the current model's prediction. */
import { restoreValues } from '@lockstep/nn';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Predictor } from '../draw/predictor.ts';
import { softmax } from '../draw/softmax.ts';
import { significant, whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import type { Run } from '../watch/run-store.ts';
import { sampleOfRow, type TableColumn } from '../watch/table-row.ts';
import { Card } from './card.tsx';
import { Figure } from './figure.tsx';
import { Probabilities } from './probabilities.tsx';

interface RowFormProps {
  readonly predictor: Predictor;
  readonly run: Run;
  readonly columns: readonly TableColumn[];
}

export function RowForm({ predictor, run, columns }: RowFormProps) {
  const texts = useSignal(columns.map(firstText));
  const row = texts.value.map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
  const sample = sampleOfRow(columns, row);
  const wrong = columns.find((column, index) => sampleOfRow([column], [row[index]!]) === undefined);
  const { output } = predictor.prediction.value;
  useEffect(() => predictor.show(sample), [texts.value]);
  const activate = (): void => predictor.activate();
  return (
    <Card name="draw" title="Try it" aside={output ? `model after step ${whole(output.step)}` : ''}>
      <div class="row-grid" onFocusIn={activate} onPointerEnter={activate}>
        <div class="row-fields">
          {columns.map((column, index) => (
            <Field
              key={index}
              column={column}
              text={texts.value[index]!}
              isWrong={column === wrong}
              onChange={(text) => {
                texts.value = texts.value.with(index, text);
              }}
            />
          ))}
        </div>
        <div class="row-outcome">
          {run.targetType === 'classes' ? (
            <Probabilities run={run} probabilities={output && softmax(output.logits, 1)} />
          ) : (
            <Values run={run} values={output && restoreValues(output.logits, run.standardization)} />
          )}
        </div>
      </div>
      <p class="error" role="status">
        {wrong && `${wrong.name}: expected a number.`}
        {predictor.error.value}
      </p>
    </Card>
  );
}

/** Returns the initial text of a field: the mean of a number column to three digits, or the first category. */
function firstText(column: TableColumn): string {
  return column.type === 'number' ? `${Number(column.mean.toPrecision(3))}` : '0';
}

interface FieldProps {
  readonly column: TableColumn;
  readonly text: string;
  readonly isWrong: boolean;
  readonly onChange: (text: string) => void;
}

function Field({ column, text, isWrong, onChange }: FieldProps) {
  const name = <bdi>{column.name}</bdi>;
  if (column.type === 'number') {
    return (
      <label>
        {name}
        <input
          type="number"
          step="any"
          value={text}
          aria-invalid={isWrong}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      </label>
    );
  }
  return (
    <label>
      {name}
      <select value={text} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        {column.categories.map((category, index) => (
          <option key={index} value={`${index}`} dir="auto">
            {category}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Maximum number of outputs shown. */
const mostValues = 10;
const valueDigits = 6;

function Values({ run, values }: { readonly run: Run; readonly values: Float32Array | undefined }) {
  return (
    <dl class="row-values" aria-label="The prediction">
      {Array.from({ length: Math.min(mostValues, run.outputs) }, (_, index) => (
        <Figure
          key={index}
          label={<bdi>{outputName(run, index)}</bdi>}
          value={values && significant(values[index]!, valueDigits)}
        />
      ))}
    </dl>
  );
}

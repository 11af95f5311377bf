/** The top errors of the last evaluation: the most confident wrong classes, or the largest errors of values. */
import { floatsFrom } from '@lockstep/protocol';
import { percent, significant, whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import type { Evaluation, Run } from '../watch/run-store.ts';
import { cellsOf, rawTarget, type TableColumn } from '../watch/table-row.ts';
import { Card } from './card.tsx';
import { SampleView } from './sample-view.tsx';

interface TopErrorsProps {
  readonly evaluation: Evaluation | undefined;
  readonly run: Run | undefined;
}

export function TopErrors({ evaluation, run }: TopErrorsProps) {
  const given = run?.targetType === 'values' ? 'value' : 'label';
  return (
    <Card name="top-errors" title="Top errors" aside={`${given} → prediction`}>
      {evaluation && run ? (
        <Errors errors={errorsOf(run, evaluation)} run={run} given={given} />
      ) : (
        <p class="empty">Comes with the first evaluation.</p>
      )}
    </Card>
  );
}

/** One wrong prediction. */
interface TopError {
  /** Bytes as in a task. */
  readonly sample: Uint8Array;
  /** The sample in words, for screen readers. */
  readonly description: string;
  /** Label and prediction: one pair for a class, or one for each output value. */
  readonly pairs: readonly { readonly name?: string; readonly given: string; readonly predicted: string }[];
  /** Probability of the predicted class. */
  readonly probability?: number;
}

/** Maximum number of values of a sample shown. */
const mostValues = 4;
const predictionDigits = 6;

function errorsOf(run: Run, { topErrors, farthest }: Evaluation): readonly TopError[] {
  const ofClasses = topErrors.map(({ sample, label, predicted, probability }): TopError => {
    const pair = { given: outputName(run, label), predicted: outputName(run, predicted) };
    const description = `a sample of ${pair.given}, classified as ${pair.predicted}`;
    return { sample, description, pairs: [pair], probability };
  });
  const ofValues = farthest.map(({ sample, target, predicted }): TopError => {
    const [values, predictions] = [floatsFrom(target), floatsFrom(predicted)];
    const pairs = Array.from(values.subarray(0, mostValues), (value, index) => ({
      ...(values.length > 1 && { name: outputName(run, index) }),
      given: rawTarget(value, run.standardization),
      predicted: significant(predictions[index]!, predictionDigits),
    }));
    return { sample, description: 'a sample whose values were missed', pairs };
  });
  return [...ofClasses, ...ofValues];
}

interface ErrorsProps {
  readonly errors: readonly TopError[];
  readonly run: Run;
  readonly given: string;
}

/** With names up to this length, four samples fit in a row. */
const shortName = 12;

function Errors({ errors, run, given }: ErrorsProps) {
  if (run.columns) return <ErrorTable errors={errors} columns={run.columns} given={given} />;
  const names = errors.flatMap(({ pairs }) => pairs.flatMap((pair) => [pair.given, pair.predicted]));
  const areLong = names.some(({ length }) => length > shortName);
  return (
    <ol class={`top-errors ${areLong ? 'long-names' : ''}`}>
      {errors.map((error, index) => (
        <li key={index}>
          <SampleView run={run} sample={error.sample} label={error.description} />
          <ErrorText error={error} />
        </li>
      ))}
    </ol>
  );
}

/** Maximum number of table columns shown. */
const mostColumns = 24;

interface ErrorTableProps extends Pick<ErrorsProps, 'errors' | 'given'> {
  readonly columns: readonly TableColumn[];
}

/** Shows table rows as they stand in the file. */
function ErrorTable({ errors, columns, given }: ErrorTableProps) {
  const shown = columns.slice(0, mostColumns);
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section class="scroll error-scroll" tabIndex={0} aria-label="Rows of the top errors">
        <table class="data-rows error-rows">
          <thead>
            <tr>
              <th scope="col" class="error-column">
                {given} → prediction
              </th>
              {shown.map(({ name, type }, index) => (
                <th key={index} scope="col" class={`error-column ${type}`} dir="auto">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {errors.map((error, row) => (
              <tr key={row}>
                <th scope="row" class="error-text">
                  <ErrorText error={error} />
                </th>
                {cellsOf(shown, floatsFrom(error.sample)).map(({ text }, index) => (
                  <td key={index} class={`error-cell ${shown[index]!.type}`} dir="auto">
                    {text}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {columns.length > mostColumns && <p class="aside">The first {whole(mostColumns)} columns.</p>}
    </>
  );
}

function ErrorText({ error: { pairs, probability } }: { readonly error: TopError }) {
  return (
    <>
      {pairs.map(({ name, given, predicted }, index) => (
        // Isolates a name in Arabic or Hebrew, so that it does not reorder the arrow next to it.
        <span key={index} class="top-error-text">
          {name !== undefined && <bdi>{name}</bdi>} <bdi>{given}</bdi> <span aria-hidden="true">→</span>
          <span class="sr-only">predicted as</span>{' '}
          <b>
            <bdi>{predicted}</bdi>
          </b>
          {probability !== undefined && <small>{percent(probability, 0)}</small>}
        </span>
      ))}
    </>
  );
}

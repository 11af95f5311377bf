/** The last evaluation: its confusion matrix and its top errors. */
import { floatsFrom, type RunMessage } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { Card } from '../look/controls.tsx';
import { outputName, percent, significant, whole } from '../look/format.ts';
import { RunTerm } from '../look/term.tsx';
import { DataTable, type ViewColumn } from '../view/table.tsx';
import { type EvaluationMessage, isPicture, type RunStore } from '../watch/run-store.ts';
import { evaluatedText } from '../watch/run-texts.ts';
import { rawTarget, rowCellsOf, type TableColumn } from '../watch/table-row.ts';
import { SampleView } from './sample-view.tsx';

export function ConfusionView({
  evaluation,
  store,
}: {
  readonly evaluation: EvaluationMessage;
  readonly store: RunStore;
}) {
  const run = store.run.value;
  const samples = isPicture(run) ? 'images' : 'samples';
  return (
    <Card
      name="confusion"
      title={<RunTerm term="confusion matrix">Confusion matrix</RunTerm>}
      aside={`test ${samples}, ${evaluatedText(evaluation.epoch, store)}`}
    >
      {evaluation.confusion && (
        <Matrix
          confusion={evaluation.confusion}
          names={Array.from({ length: evaluation.outputs }, (_, index) => outputName(run, index))}
          samples={samples}
        />
      )}
    </Card>
  );
}

/** Maximum total length of horizontal headings, in characters. Longer headings are turned. */
const mostCharactersOfHeadings = 60;

/** A cell, by the indices of its classes. */
interface Place {
  readonly label: number;
  readonly predicted: number;
}

interface MatrixProps {
  /** float32, [classes, classes] */
  readonly confusion: Uint8Array;
  readonly names: readonly string[];
  readonly samples: string;
}

function Matrix({ confusion, names, samples }: MatrixProps) {
  const chosen = useSignal<Place | undefined>(undefined);
  const counts = floatsFrom(confusion);
  const classes = names.length;
  const rows = names.map((_, label) => counts.subarray(label * classes, (label + 1) * classes));
  const mostErrors = rows.reduce(
    (most, row, label) => row.reduce((highest, count, at) => (at === label ? highest : Math.max(highest, count)), most),
    1,
  );
  const longest = Math.max(...names.map(({ length }) => length));
  const areTurned = longest > 3 && longest * classes > mostCharactersOfHeadings;
  // The next run may have fewer classes.
  const { label = classes, predicted = classes } = chosen.value ?? {};
  const { table, ...events } = useCells((place) => {
    chosen.value = place;
  });
  return (
    <>
      <div class="scroll matrix-scroll">
        <table
          ref={table}
          // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: arrow keys go from cell to cell
          role="grid"
          aria-label="Rows: the label. Columns: the prediction."
          class={`matrix ${areTurned ? 'turned' : ''}`}
          style={{ '--classes': classes, '--longest': longest }}
          {...events}
        >
          <thead>
            <tr>
              <td class="matrix-corner" />
              {names.map((name, predicted) => (
                <th key={predicted} scope="col">
                  <span class="matrix-heading" dir="auto">
                    {name}
                  </span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, label) => (
              <tr key={label}>
                <th scope="row" dir="auto">
                  {names[label]}
                </th>
                {Array.from(row, (count, predicted) => (
                  <td
                    key={predicted}
                    {...lookOf(row, label, predicted, mostErrors)}
                    // The keyboard enters at the first cell and later returns to the cell that it left.
                    {...(label === 0 && predicted === 0 && { tabIndex: 0 })}
                  >
                    {count || ''}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {/* The chosen cell in words. Its place is reserved, to avoid layout shift. */}
      <p class="matrix-readout">
        {label < classes && predicted < classes ? (
          <>
            <b>{whole(counts[label * classes + predicted]!)}</b> {samples} of <bdi>{names[label]}</bdi> classified as{' '}
            <bdi>{names[predicted]}</bdi>
          </>
        ) : (
          'Rows: the label. Columns: the prediction. Point at a cell or tap it for its classes.'
        )}
      </p>
    </>
  );
}

/** Returns the color of a cell: the share of its label if it is right, otherwise its part of the most errors. */
function lookOf(row: Float32Array, label: number, predicted: number, mostErrors: number) {
  const count = row[predicted]!;
  if (label === predicted) {
    const total = row.reduce((sum, each) => sum + each, 0);
    return { class: 'right', style: { '--heat': (count / Math.max(1, total)).toFixed(3) } };
  }
  return count === 0
    ? { class: 'none' }
    : { class: 'wrong', style: { '--heat': Math.sqrt(count / mostErrors).toFixed(3) } };
}

const moves: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Tracks pointer and keyboard over the cells of a table. One cell at a time is in the tab order. */
function useCells(onChoose: (place: Place) => void) {
  const table = useRef<HTMLTableElement>(null);
  const choose = (cell: HTMLTableCellElement): void =>
    onChoose({ label: (cell.parentElement as HTMLTableRowElement).rowIndex - 1, predicted: cell.cellIndex - 1 });
  const enter = (cell: HTMLTableCellElement): void => {
    for (const other of table.current!.querySelectorAll('td[tabindex]')) other.removeAttribute('tabindex');
    cell.tabIndex = 0;
    cell.focus();
  };
  return {
    table,
    onPointerOver: ({ target }: Event): void => {
      if (isCell(target)) choose(target);
    },
    onClick: ({ target }: Event): void => {
      if (isCell(target)) enter(target);
    },
    onFocusIn: ({ target }: Event): void => {
      if (isCell(target)) choose(target);
    },
    onKeyDown: (event: KeyboardEvent): void => {
      const [down, right] = moves[event.key] ?? [];
      if (down === undefined || right === undefined || !isCell(event.target)) return;
      event.preventDefault();
      const row = (event.target.parentElement as HTMLTableRowElement).rowIndex + down;
      const next = table.current!.rows[row]?.cells[event.target.cellIndex + right];
      if (isCell(next)) enter(next);
    },
  };
}

function isCell(target: EventTarget | null | undefined): target is HTMLTableCellElement {
  return target instanceof HTMLTableCellElement && target.matches('tbody td');
}

/** The most confident wrong classes, or the largest errors of values. */
export function TopErrors({ evaluation, run }: { readonly evaluation: EvaluationMessage; readonly run: RunMessage }) {
  const given = run.targetField.role === 'value' ? 'value' : 'label';
  return (
    <Card name="top-errors" title="Top errors" aside={`${given} → prediction`}>
      <Errors errors={errorsOf(run, evaluation)} run={run} given={given} />
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

function errorsOf(run: RunMessage, { topErrors, farthest }: EvaluationMessage): readonly TopError[] {
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
    return { sample, description: 'a sample whose values were predicted wrongly', pairs };
  });
  return [...ofClasses, ...ofValues];
}

interface ErrorsProps {
  readonly errors: readonly TopError[];
  readonly run: RunMessage;
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
  const rows = errors.map((error) => ({ error, cells: rowCellsOf(shown, floatsFrom(error.sample)) }));
  type Row = (typeof rows)[number];
  const first: ViewColumn<Row> = {
    title: `${given} → prediction`,
    text: ({ error }) => error.description,
    cell: ({ error }) => <ErrorText error={error} />,
  };
  const cells = shown.map(
    ({ name, type }, index): ViewColumn<Row> => ({
      title: name,
      isNumber: type === 'number',
      text: (row) => row.cells[index]!.text,
    }),
  );
  return (
    <>
      <DataTable
        label="Rows of the top errors"
        class="error-rows"
        regionClass="error-scroll"
        columns={[first, ...cells]}
        rows={rows}
        hasRowHeadings
      />
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
          {probability !== undefined && <small>{percent(probability)}</small>}
        </span>
      ))}
    </>
  );
}

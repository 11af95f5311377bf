/** The last evaluation: its confusion matrix, its top errors, samples of a cell, and the metrics of a run that is over. */
import { type ClassRates, type Metrics, rateNames, rates } from '@lockstep/nn';
import { floatsFrom, type RunMessage, valuesFrom } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Card } from '../look/controls.tsx';
import { measured, outputName, percent, significant, thousands } from '../look/format.ts';
import { RunTerm } from '../look/term.tsx';
import { DataTable, numberColumn, textColumn, type ViewColumn } from '../view/table.tsx';
import { type EvaluationMessage, isText, type RunStore, vocabularyOf } from '../watch/run-store.ts';
import { evaluatedText, sampleUnitOf } from '../watch/run-texts.ts';
import { rawTarget, rowCellsOf } from '../watch/table-row.ts';
import { SampleView, sampleText } from './sample-view.tsx';

/** A cell of the matrix, by the indices of its classes. */
interface Cell {
  readonly label: number;
  readonly predicted: number;
}

interface EvaluationCardsProps {
  readonly store: RunStore;
  readonly run: RunMessage;
}

/** The confusion matrix of the last evaluation and its top errors, or the samples of the opened cell. */
export function EvaluationCards({ store, run }: EvaluationCardsProps) {
  const opened = useSignal<Cell | undefined>(undefined);
  // Another run may have other classes.
  useEffect(() => {
    opened.value = undefined;
  }, [run]);
  const { value: evaluation } = store.evaluation;
  if (!evaluation) return null;
  const { confusion, outputs, epoch } = evaluation;
  const samples = sampleUnitOf(run).name;
  return (
    <>
      {confusion && (
        <Card
          name="confusion"
          title={<RunTerm term="confusion matrix">Confusion matrix</RunTerm>}
          aside={`test ${samples}, ${evaluatedText(epoch, store)}`}
        >
          <Matrix
            names={Array.from({ length: outputs }, (_, index) => outputName(run, index))}
            {...{ confusion, samples, opened }}
          />
        </Card>
      )}
      {!isText(run) && <TopErrors {...{ evaluation, run, opened }} />}
    </>
  );
}

/** Maximum total length of horizontal headings, in characters. Longer headings are turned. */
const mostCharactersOfHeadings = 60;

interface MatrixProps {
  /** float32, [classes, classes] */
  readonly confusion: Uint8Array;
  readonly names: readonly string[];
  readonly samples: string;
  readonly opened: Signal<Cell | undefined>;
}

function Matrix({ confusion, names, samples, opened }: MatrixProps) {
  const chosen = useSignal<Cell | undefined>(undefined);
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
  const { table, ...events } = useCells(
    (cell) => {
      chosen.value = cell;
    },
    (cell) => {
      if (counts[cell.label * classes + cell.predicted]) opened.value = cell;
    },
  );
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
            <b>{thousands(counts[label * classes + predicted]!)}</b> {samples} of <bdi>{names[label]}</bdi> classified
            as <bdi>{names[predicted]}</bdi>
          </>
        ) : (
          'Rows: the label. Columns: the prediction. Press a cell for its samples.'
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

/**
 * Tracks pointer and keyboard over the cells of a table. One cell at a time is in the tab order.
 * @param onPress called for a click, Enter or the space bar
 */
function useCells(onChoose: (cell: Cell) => void, onPress: (cell: Cell) => void) {
  const table = useRef<HTMLTableElement>(null);
  const placeOf = (cell: HTMLTableCellElement): Cell => ({
    label: (cell.parentElement as HTMLTableRowElement).rowIndex - 1,
    predicted: cell.cellIndex - 1,
  });
  const choose = ({ target }: Event): void => {
    if (isCell(target)) onChoose(placeOf(target));
  };
  const enter = (cell: HTMLTableCellElement): void => {
    for (const other of table.current!.querySelectorAll('td[tabindex]')) other.removeAttribute('tabindex');
    cell.tabIndex = 0;
    cell.focus();
  };
  return {
    table,
    onPointerOver: choose,
    onFocusIn: choose,
    onClick: ({ target }: Event): void => {
      if (!isCell(target)) return;
      enter(target);
      onPress(placeOf(target));
    },
    onKeyDown: (event: KeyboardEvent): void => {
      const { key, target } = event;
      const move = moves[key];
      const isPress = key === 'Enter' || key === ' ';
      if (!isCell(target) || !(move || isPress)) return;
      event.preventDefault();
      if (!move) {
        onPress(placeOf(target));
        return;
      }
      const row = (target.parentElement as HTMLTableRowElement).rowIndex + move[0];
      const next = table.current!.rows[row]?.cells[target.cellIndex + move[1]];
      if (isCell(next)) enter(next);
    },
  };
}

function isCell(target: EventTarget | null | undefined): target is HTMLTableCellElement {
  return target instanceof HTMLTableCellElement && target.matches('tbody td');
}

interface TopErrorsProps {
  readonly evaluation: EvaluationMessage;
  readonly run: RunMessage;
  readonly opened: Signal<Cell | undefined>;
}

/** The most confident wrong classes, the largest errors of values, or samples of the opened cell of the matrix. */
function TopErrors({ evaluation, run, opened }: TopErrorsProps) {
  const card = useRef<HTMLDivElement>(null);
  const cell = opened.value;
  const given = run.targetField.role === 'value' ? 'value' : 'label';
  // On a narrow screen, the card is below the matrix.
  useEffect(() => {
    if (cell) card.current?.scrollIntoView({ block: 'nearest' });
  }, [cell]);
  const shown = cell ? samplesOf(cell, evaluation) : evaluation;
  const errors = errorsOf(run, shown);
  const title = cell ? `${outputName(run, cell.label)} classified as ${outputName(run, cell.predicted)}` : 'Top errors';
  return (
    <Card name="top-errors" title={<bdi>{title}</bdi>} aside={`${given} → prediction`}>
      <div ref={card} class="row opened-cell">
        <p role="status">{cell && cellText(shown.topErrors.length, cell, evaluation)}</p>
        {cell && (
          <button type="button" onClick={() => (opened.value = undefined)}>
            Show the top errors
          </button>
        )}
      </div>
      {errors.length > 0 && <Errors errors={errors} run={run} given={given} />}
      {errors.length === 0 && !cell && <p class="empty">The last evaluation had no errors.</p>}
    </Card>
  );
}

type ShownErrors = Pick<EvaluationMessage, 'topErrors' | 'farthest'>;

/** While the run goes on, only the top errors are known. */
function samplesOf({ label, predicted }: Cell, { topErrors, cellSamples = topErrors }: EvaluationMessage): ShownErrors {
  const isOfCell = (sample: Cell): boolean => sample.label === label && sample.predicted === predicted;
  return { topErrors: cellSamples.filter(isOfCell), farthest: [] };
}

function cellText(shown: number, { label, predicted }: Cell, { confusion, cellSamples, outputs }: EvaluationMessage) {
  const count = confusion ? floatsFrom(confusion)[label * outputs + predicted]! : shown;
  if (!cellSamples && shown < count) return 'More samples of each cell follow when the run ends.';
  if (shown >= count) return count === 1 ? 'The only one.' : `All ${thousands(count)}.`;
  const which = label === predicted ? 'the least confident' : 'the most confident';
  return shown === 0
    ? 'This page has no samples of this cell.'
    : `${thousands(shown)} of ${thousands(count)}, ${which}.`;
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

function errorsOf(run: RunMessage, { topErrors, farthest }: ShownErrors): readonly TopError[] {
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

const mostColumns = 24;
/** With names up to this length, four samples fit in a row. */
const shortName = 12;

function Errors({ errors, run, given }: ErrorsProps) {
  const vocabulary = vocabularyOf(run);
  if (vocabulary) {
    const cellsOf = (sample: Uint8Array) => [sampleText(vocabulary, valuesFrom(sample, run.sampleField.dtype))];
    return <ErrorTable {...{ errors, given, cellsOf }} columns={[{ title: 'text', class: 'long-text' }]} />;
  }
  if (run.columns) {
    // Rows as they stand in the file.
    const shown = run.columns.slice(0, mostColumns);
    const cellsOf = (sample: Uint8Array) => rowCellsOf(shown, floatsFrom(sample)).map(({ text }) => text);
    const columns = shown.map(({ name, type }) => ({ title: name, isNumber: type === 'number' }));
    return (
      <>
        <ErrorTable {...{ errors, given, columns, cellsOf }} />
        {run.columns.length > mostColumns && <p class="aside">The first {thousands(mostColumns)} columns.</p>}
      </>
    );
  }
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

interface ErrorTableProps extends Pick<ErrorsProps, 'errors' | 'given'> {
  readonly columns: readonly Pick<ViewColumn<unknown>, 'title' | 'isNumber' | 'class'>[];
  /** Returns the texts of a sample's cells. */
  readonly cellsOf: (sample: Uint8Array) => readonly string[];
}

function ErrorTable({ errors, columns, given, cellsOf }: ErrorTableProps) {
  const rows = errors.map((error) => ({ error, cells: cellsOf(error.sample) }));
  type Row = (typeof rows)[number];
  const first: ViewColumn<Row> = {
    title: `${given} → prediction`,
    text: ({ error }) => error.description,
    cell: ({ error }) => <ErrorText error={error} />,
  };
  const cells = columns.map((column, index): ViewColumn<Row> => ({ ...column, text: (row) => row.cells[index]! }));
  return (
    <DataTable
      label="Rows of the top errors"
      class="error-rows"
      regionClass="error-scroll"
      columns={[first, ...cells]}
      rows={rows}
      hasRowHeadings
    />
  );
}

function ErrorText({ error: { pairs, probability } }: { readonly error: TopError }) {
  return (
    <>
      {pairs.map(({ name, given, predicted }, index) => (
        // Isolates a name in Arabic or Hebrew, so that it does not reorder the arrow next to it.
        <span key={index} class="row top-error-text">
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

/** The metrics of a run that is over: a row for each class or value, and one for all of them; nothing for a text. */
export function MetricsView({ metrics }: { readonly metrics: Metrics }) {
  if ('perplexity' in metrics) return null;
  return (
    <Card name="metrics" title={<RunTerm term="metrics">Metrics</RunTerm>} aside="test samples, final weights">
      {'classes' in metrics ? (
        <>
          <p>
            Accuracy <b>{percent(metrics.accuracy)}</b>, balanced accuracy <b>{percent(metrics.balancedAccuracy)}</b>,
            log loss <b>{metrics.logLoss.toFixed(4)}</b>
          </p>
          <DataTable
            label="Metrics of each class"
            regionClass="metrics-scroll"
            columns={classColumns}
            rows={[...metrics.classes, { ...metrics.macro, name: 'macro average' }]}
            keyOf={({ name }) => name}
            hasRowHeadings
          />
        </>
      ) : (
        <DataTable
          label="Errors of each value"
          regionClass="metrics-scroll"
          columns={valueColumns}
          rows={metrics.outputs.length > 1 ? [...metrics.outputs, { ...metrics, name: 'all values' }] : metrics.outputs}
          keyOf={({ name }) => name}
          hasRowHeadings
        />
      )}
    </Card>
  );
}

function fourDecimals(value: number): string {
  return value.toFixed(4);
}

/** A row of metrics; means have no number of samples. */
type ClassRow = ClassRates & { readonly name: string; readonly support?: number };

const classColumns: readonly ViewColumn<ClassRow>[] = [
  textColumn('class', ({ name }) => name),
  {
    title: 'samples',
    isNumber: true,
    text: ({ support }) => (support === undefined ? '' : thousands(support)),
    value: ({ support = Number.POSITIVE_INFINITY }) => support,
  },
  ...rates.map((rate) => numberColumn<ClassRow>(rateNames[rate], (row) => row[rate], fourDecimals)),
];

type ValueRow = Extract<Metrics, { readonly outputs: unknown }>['outputs'][number];

const valueColumns: readonly ViewColumn<ValueRow>[] = [
  textColumn('value', ({ name }) => name),
  numberColumn('MAE', ({ mae }) => mae, measured),
  numberColumn('RMSE', ({ rmse }) => rmse, measured),
  numberColumn('R²', ({ r2 }) => r2, fourDecimals),
];

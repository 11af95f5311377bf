/** The confusion matrix of the last evaluation. */
import { floatsFrom } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import { type Evaluation, isPicture, type RunStore } from '../watch/run-store.ts';
import { evaluatedText } from '../watch/run-summary.ts';
import { Card } from './card.tsx';
import { RunTerm } from './run-term.tsx';

interface ConfusionMatrixProps {
  readonly evaluation: Evaluation;
  readonly store: RunStore;
}

export function ConfusionMatrix({ evaluation, store }: ConfusionMatrixProps) {
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
              <Row key={label} name={names[label]!} label={label} counts={row} mostErrors={mostErrors} />
            ))}
          </tbody>
        </table>
      </div>
      <Readout place={chosen.value} counts={counts} names={names} samples={samples} />
    </>
  );
}

interface RowProps {
  readonly name: string;
  readonly label: number;
  /** How often each class was predicted for this label. */
  readonly counts: Float32Array;
  /** The highest count of a wrong prediction in the matrix. */
  readonly mostErrors: number;
}

function Row({ name, label, counts, mostErrors }: RowProps) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <tr>
      <th scope="row" dir="auto">
        {name}
      </th>
      {Array.from(counts, (count, predicted) => {
        const isRight = label === predicted;
        const heat = isRight ? count / Math.max(1, total) : Math.sqrt(count / mostErrors);
        return (
          <td
            key={predicted}
            class={isRight ? 'right' : count === 0 ? 'none' : 'wrong'}
            style={isRight || count > 0 ? { '--heat': heat.toFixed(3) } : undefined}
            // The keyboard enters at the first cell and later returns to the cell that it left.
            {...(label === 0 && predicted === 0 && { tabIndex: 0 })}
          >
            {count || ''}
          </td>
        );
      })}
    </tr>
  );
}

interface ReadoutProps extends Pick<MatrixProps, 'names' | 'samples'> {
  readonly place: Place | undefined;
  readonly counts: Float32Array;
}

/** The selected cell in words. Its place is reserved, to avoid layout shift. */
function Readout({ place, counts, names, samples }: ReadoutProps) {
  const { label = 0, predicted = 0 } = place ?? {};
  return (
    <p class="matrix-readout">
      {place && label < names.length && predicted < names.length ? (
        <>
          <b>{whole(counts[label * names.length + predicted]!)}</b> {samples} of <bdi>{names[label]}</bdi> classified as{' '}
          <bdi>{names[predicted]}</bdi>
        </>
      ) : (
        'Rows: the label. Columns: the prediction. Point at a cell or tap it for its classes.'
      )}
    </p>
  );
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

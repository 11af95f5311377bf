/** The confusion matrix of the last evaluation. */
import { floatsFrom } from '@lockstep/protocol';
import { whole } from '../look/format.ts';
import type { Evaluation } from '../watch/run-store.ts';
import { Card } from './card.tsx';

export function ConfusionMatrix({ evaluation }: { readonly evaluation: Evaluation | undefined }) {
  return (
    <Card name="confusion" title="Confusion matrix" aside={evaluation ? `test images, epoch ${evaluation.epoch}` : ''}>
      {evaluation ? <Matrix evaluation={evaluation} /> : <p class="empty">Comes with the first evaluation.</p>}
    </Card>
  );
}

function Matrix({ evaluation: { classes, confusion } }: { readonly evaluation: Evaluation }) {
  const counts = floatsFrom(confusion);
  const names = Array.from({ length: classes }, (_, index) => index);
  const rows = names.map((label) => counts.subarray(label * classes, (label + 1) * classes));
  const mostErrors = Math.max(
    1,
    ...rows.flatMap((row, label) => [...row].filter((_, predicted) => predicted !== label)),
  );
  return (
    <table class="matrix">
      <caption>Rows: the label. Columns: the prediction.</caption>
      <thead>
        <tr>
          <td />
          {names.map((predicted) => (
            <th key={predicted} scope="col">
              {predicted}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, label) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            {names.map((predicted) => (
              <Cell key={predicted} label={label} predicted={predicted} row={row} mostErrors={mostErrors} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface CellProps {
  readonly label: number;
  readonly predicted: number;
  /** Counts of the label's predictions. */
  readonly row: Float32Array;
  /** The highest count of a wrong prediction. */
  readonly mostErrors: number;
}

function Cell({ label, predicted, row, mostErrors }: CellProps) {
  const count = row[predicted]!;
  const isRight = label === predicted;
  const total = row.reduce((sum, value) => sum + value, 0);
  const heat = isRight ? count / Math.max(1, total) : Math.sqrt(count / mostErrors);
  return (
    <td
      class={isRight ? 'right' : count === 0 ? 'none' : 'wrong'}
      style={{ '--heat': heat.toFixed(3) }}
      title={`${whole(count)} images of ${label} classified as ${predicted}`}
    >
      {count === 0 ? '' : count}
    </td>
  );
}

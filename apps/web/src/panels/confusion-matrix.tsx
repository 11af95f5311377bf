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
  const errors = rows.flatMap((row, label) => [...row].filter((_, predicted) => predicted !== label));
  const mostErrors = Math.max(1, ...errors);
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
          <Row key={label} label={label} counts={row} mostErrors={mostErrors} />
        ))}
      </tbody>
    </table>
  );
}

/**
 * @param counts how often each class was predicted
 * @param mostErrors the highest count of a wrong prediction in the matrix
 */
function Row({ label, counts, mostErrors }: { label: number; counts: Float32Array; mostErrors: number }) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <tr>
      <th scope="row">{label}</th>
      {Array.from(counts, (count, predicted) => {
        const isRight = label === predicted;
        const heat = isRight ? count / Math.max(1, total) : Math.sqrt(count / mostErrors);
        return (
          <td
            key={predicted}
            class={isRight ? 'right' : count === 0 ? 'none' : 'wrong'}
            style={{ '--heat': heat.toFixed(3) }}
            title={`${whole(count)} images of ${label} classified as ${predicted}`}
          >
            {count || ''}
          </td>
        );
      })}
    </tr>
  );
}

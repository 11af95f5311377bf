/** The confusion matrix of the last evaluation. */
import { floatsFrom } from '@lockstep/protocol';
import { whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import { type Evaluation, isPicture, type Run, type RunStore } from '../watch/run-store.ts';
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
      {evaluation.confusion && <Matrix confusion={evaluation.confusion} names={namesOf(run, evaluation.outputs)} />}
    </Card>
  );
}

function namesOf(run: Run | undefined, classes: number): string[] {
  return Array.from({ length: classes }, (_, index) => outputName(run, index));
}

function Matrix({ confusion, names }: { readonly confusion: Uint8Array; readonly names: readonly string[] }) {
  const counts = floatsFrom(confusion);
  const classes = names.length;
  const rows = names.map((_, label) => counts.subarray(label * classes, (label + 1) * classes));
  const errors = rows.flatMap((row, label) => [...row].filter((_, predicted) => predicted !== label));
  const mostErrors = Math.max(1, ...errors);
  return (
    <table class="matrix">
      <caption>Rows: the label. Columns: the prediction.</caption>
      <thead>
        <tr>
          <td />
          {names.map((name, predicted) => (
            <th key={predicted} scope="col" title={name}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, label) => (
          <Row key={label} names={names} label={label} counts={row} mostErrors={mostErrors} />
        ))}
      </tbody>
    </table>
  );
}

interface RowProps {
  readonly names: readonly string[];
  readonly label: number;
  /** How often each class was predicted. */
  readonly counts: Float32Array;
  /** The highest count of a wrong prediction in the matrix. */
  readonly mostErrors: number;
}

function Row({ names, label, counts, mostErrors }: RowProps) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <tr>
      <th scope="row" title={names[label]}>
        {names[label]}
      </th>
      {Array.from(counts, (count, predicted) => {
        const isRight = label === predicted;
        const heat = isRight ? count / Math.max(1, total) : Math.sqrt(count / mostErrors);
        return (
          <td
            key={predicted}
            class={isRight ? 'right' : count === 0 ? 'none' : 'wrong'}
            style={{ '--heat': heat.toFixed(3) }}
            title={`${whole(count)} samples of ${names[label]} classified as ${names[predicted]}`}
          >
            {count || ''}
          </td>
        );
      })}
    </tr>
  );
}

/** An evaluation as lines of text. */
import { type Column, decimals, formatTable, percent, shownLine, significant } from '@lockstep/command';
import type { ModelEvaluation } from '@lockstep/train';
import { thousands } from '@lockstep/train/command-line';

interface Confusion {
  readonly label: number;
  readonly predicted: number;
  readonly count: number;
}

const mostShown = 10;
const nameLength = 60;

const columns: readonly Column[] = [
  { header: 'class' },
  { header: 'read as' },
  { header: 'samples', align: 'right' },
  { header: 'of its class', align: 'right' },
];

/** Lines without a trailing line break. @param classes their names */
export function evaluationText(evaluation: ModelEvaluation, classes: readonly string[]): string {
  const { loss, accuracy, r2, rmse, confusion } = evaluation;
  if (!Number.isFinite(loss)) return 'the loss is not finite: the training of this model has diverged';
  if (accuracy === null) {
    const explained = r2 === null ? '' : `, R² ${decimals(r2)}`;
    return `loss ${decimals(loss)}, root mean squared error ${significant(rmse!)}${explained}`;
  }
  if (!confusion) return `loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}`;
  const totals = confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const samples = totals.reduce((sum, count) => sum + count, 0);
  const errors = errorsOf(confusion);
  const wrong = errors.reduce((sum, { count }) => sum + count, 0);
  const measured = `loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}: ${thousands(wrong)} of ${thousands(samples)} wrong`;
  if (wrong === 0) return measured;
  const rows = errors
    .slice(0, mostShown)
    .map(({ label, predicted, count }) => [
      shownLine(classes[label]!, nameLength),
      shownLine(classes[predicted]!, nameLength),
      thousands(count),
      percent(count / totals[label]!),
    ]);
  return `${measured}\n\nmost frequent errors\n${formatTable(columns, rows, '  ')}`;
}

/** Most frequent first; ties in the order of the classes. */
function errorsOf(confusion: NonNullable<ModelEvaluation['confusion']>): Confusion[] {
  return confusion
    .flatMap((row, label) => row.map((count, predicted) => ({ label, predicted, count })))
    .filter(({ label, predicted, count }) => label !== predicted && count > 0)
    .sort((a, b) => b.count - a.count);
}

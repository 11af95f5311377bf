/** Formats the curves of a run as CSV. */
import type { Column, CurveTable } from '../watch/curves.ts';

/** @param accuracy absent if targets are values */
export function curvesCsv(axis: string, loss: CurveTable, accuracy: CurveTable | undefined): string {
  const columns: readonly (readonly [string, Column])[] = [
    [axis, loss.at],
    ['train_loss', loss.train],
    ['train_loss_smoothed', loss.smoothTrain],
    ['test_loss', loss.test],
    ...(accuracy
      ? ([
          ['train_accuracy_percent', accuracy.train],
          ['train_accuracy_percent_smoothed', accuracy.smoothTrain],
          ['test_accuracy_percent', accuracy.test],
        ] as const)
      : []),
  ];
  const rows = loss.at.map((_, row) => columns.map(([, values]) => values[row] ?? '').join(','));
  return `${[columns.map(([name]) => name).join(','), ...rows].join('\n')}\n`;
}

/** The result of a training as plain text. */
import { ends, figuresTable, milliseconds, thousands, times } from '../figure-text.ts';
import { stepParts } from './figures.ts';
import { isLockstep, isTimed, type LockstepRow, type PeerRow, type TrainingResult } from './results.ts';

/** Lines of one training: throughput of each row, the parts of a step's time, and a sentence for everything else. */
export function resultLines({ training, rows, sameWeights, curveDistance }: TrainingResult, accuracy: number) {
  const own = rows.filter(isLockstep);
  const { name, parameters, steps, learningRate } = training;
  const headers = ['', 'images/s', '(min .. max)', ...ratioHeaders(accuracy)];
  return [
    `${name}: ${thousands(parameters)} parameters, ${steps} steps of plain SGD, learning rate ${learningRate}`,
    figuresTable(
      headers,
      rows.filter(isTimed).map((row) => {
        const { imagesPerSecond } = row;
        return [rowName(row), thousands(imagesPerSecond.median), ends(imagesPerSecond, thousands), ...ratioCells(row)];
      }),
    ),
    '',
    '  where a step goes, ms',
    figuresTable(['', 'step', ...stepParts], own.map(partCells)),
    ...rows.flatMap((row) => (row.kind === 'missing' ? [`  ${row.name} ${row.status}: ${row.reason}`] : [])),
    ...(own.length < 2 ? [] : [agreementLine(own, sameWeights, curveDistance)]),
  ];
}

export function rowName(row: LockstepRow | PeerRow): string {
  return row.kind === 'peer' ? `${row.name} ${row.version}` : `lockstep, ${row.name}`;
}

/** Headers of the columns after the throughput. */
export function ratioHeaders(accuracy: number): string[] {
  return ['against 1 thread', 'efficiency', 'like for like', `s to ${Math.round(accuracy * 100)} %`, 'MB a step'];
}

export function ratioCells(row: LockstepRow | PeerRow): string[] {
  const ratio = times(row.timesOneThread.median);
  if (row.kind === 'peer') {
    const { speedUp, lockstepAgainstIt } = row;
    const own = speedUp === null ? '' : `(${times(speedUp.median)} its own)`;
    return [ratio, own, lockstepAgainstIt === null ? '' : times(lockstepAgainstIt.median), '', ''];
  }
  const { efficiency, secondsToAccuracy, bytesPerStep, workers } = row;
  return [
    ratio,
    efficiency === null ? '' : `${Math.round(efficiency * 100)} %`,
    '',
    secondsToAccuracy === null ? 'not reached' : secondsToAccuracy.median.toFixed(2),
    workers.kind === 'threads' ? '0' : (bytesPerStep / 1e6).toFixed(2),
  ];
}

function partCells(row: LockstepRow): string[] {
  const { msPerStep, parts } = row;
  const cells = stepParts.map((part) => (parts === null ? '' : milliseconds(parts[part])));
  return [rowName(row), milliseconds(msPerStep.median), ...cells];
}

function agreementLine(own: readonly LockstepRow[], sameWeights: boolean, curveDistance: number): string {
  return sameWeights
    ? `  All ${own.length} rows of Lockstep end with the same weights to the bit (${own[0]?.weightsSha256.slice(0, 16)}…): one curve of loss at different speeds.`
    : `  Rows of different numeric modes: losses at the same step differ by at most ${curveDistance.toExponential(1)}.`;
}

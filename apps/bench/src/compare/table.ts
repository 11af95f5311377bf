/** A comparison as plain text. */
import type { Spread } from '../statistics.ts';
import { stepParts } from './figures.ts';
import type { OwnRow, PeerRow, TrainingResult } from './results.ts';
import { milliseconds, times } from './verdict.ts';

type Cells = readonly string[];

/** Lines of one training: who is how fast, where a step's time goes, and a sentence for everything else. */
export function resultLines(result: TrainingResult, accuracy: number): string[] {
  const { training, rows, sameWeights, curveDistance } = result;
  const timed = rows.filter((row): row is OwnRow | PeerRow => row.kind !== 'missing');
  const own = rows.filter((row): row is OwnRow => row.kind === 'lockstep');
  const percent = `${Math.round(accuracy * 100)} %`;
  const header = ['', 'images/s', '(min .. max)', 'against one process', 'efficiency', `s to ${percent}`, 'MB a step'];
  return [
    `${training.name}: ${thousands(training.parameters)} parameters, ${training.steps} steps of plain SGD, learning rate ${training.learningRate}`,
    ...align([header, ...timed.map(timedCells)]),
    '',
    '  where a step goes, ms',
    ...align([['', 'step', ...stepParts], ...own.map(partCells)]),
    ...rows.flatMap((row) => (row.kind === 'missing' ? [`  ${row.name} ${row.why}: ${row.reason}`] : [])),
    ...(own.length < 2 ? [] : [agreementLine(own, sameWeights, curveDistance)]),
  ];
}

function agreementLine(own: readonly OwnRow[], sameWeights: boolean, curveDistance: number): string {
  return sameWeights
    ? `  All ${own.length} crews end with the same weights to the bit (${own[0]?.weightsSha256.slice(0, 16)}…): one curve of loss, walked at different speeds.`
    : `  Crews of different arithmetic: losses at the same step differ by at most ${curveDistance.toExponential(1)}.`;
}

function timedCells(row: OwnRow | PeerRow): Cells {
  const { imagesPerSecond, timesSingle } = row;
  const common = [thousands(imagesPerSecond.median), range(imagesPerSecond), `${times(timesSingle.median)}`];
  if (row.kind === 'peer') {
    const speedUp = row.speedUp === null ? '' : `(${times(row.speedUp.median)} its own)`;
    return [`${row.name} ${row.version}`, ...common, speedUp, '', ''];
  }
  const { efficiency, secondsToAccuracy, bytesPerStep, crew } = row;
  return [
    `lockstep, ${row.name}`,
    ...common,
    efficiency === null ? '' : `${Math.round(efficiency * 100)} %`,
    secondsToAccuracy === null ? 'not reached' : secondsToAccuracy.median.toFixed(2),
    crew.kind === 'single' ? '0' : (bytesPerStep / 1e6).toFixed(2),
  ];
}

function partCells({ name, msPerStep, parts }: OwnRow): Cells {
  return [
    `lockstep, ${name}`,
    milliseconds(msPerStep.median),
    ...stepParts.map((part) => (parts === null ? '' : milliseconds(parts[part]))),
  ];
}

/** Pads the columns to their widest cell; the first is set left, the figures right. */
export function align(rows: readonly Cells[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')}`.trimEnd(),
  );
}

function range({ min, max }: Spread): string {
  return `(${thousands(min)} .. ${thousands(max)})`;
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

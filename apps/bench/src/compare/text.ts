/** The result of a training as plain text, and the closing sentences of a comparison. */
import { ends, figuresTable, milliseconds, thousands, times } from '../output.ts';
import {
  ddpName,
  isLockstep,
  isOneThread,
  isTimed,
  type LockstepRow,
  type PeerRow,
  pytorchName,
  stepParts,
  type TrainingResult,
} from './results.ts';

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

/** A smaller gain does not justify a more expensive way to train. */
const worthwhile = 1.05;

/** A training with the cheapest of its fastest rows. */
interface Choice {
  readonly name: string;
  readonly row: LockstepRow;
}

export function conclusionOf(results: readonly TrainingResult[]): string[] {
  const choices = results.flatMap(({ training: { name }, rows }): Choice[] => {
    // From cheap to expensive: a thread, all threads, then processes and tabs with sockets between them.
    const own = rows.filter(isLockstep);
    const fastest = Math.max(...own.map(({ timesOneThread }) => timesOneThread.median));
    const row = own.find(({ timesOneThread }) => timesOneThread.median * worthwhile >= fastest);
    return own.length < 2 || !row ? [] : [{ name, row }];
  });
  if (choices.length === 0) return [];
  const ways = [...new Set(choices.map(({ row }) => row.name))];
  return [
    ...ways.map((way) => sentenceOf(choices.filter(({ row }) => row.name === way))),
    ...reasonOf(results),
    ...peerComparisons(results),
  ];
}

function sentenceOf(choices: readonly Choice[]): string {
  const { row } = choices[0]!;
  const { kind, count } = row.workers;
  const trainings = list(
    choices.map(({ name, row: { workers, timesOneThread } }) =>
      isOneThread(workers) ? name : `${name} (${times(timesOneThread.median)} one thread)`,
    ),
  );
  if (kind === 'threads') {
    const command = `npm start -- --single --threads ${count}`;
    return `Train on ${row.name} of one process, which is as fast as anything dearer here (${command}): ${trainings}.`;
  }
  return `Train with ${row.name}, the fastest here: ${trainings}.`;
}

function reasonOf(results: readonly TrainingResult[]): string[] {
  const rows = results.flatMap((result) => result.rows.filter(isLockstep));
  const overheads = rows.flatMap(({ workers, parts }) =>
    workers.kind === 'threads' || parts === null
      ? []
      : [stepParts.reduce((sum, part) => sum + (part === 'compute' ? 0 : parts[part]), 0)],
  );
  if (overheads.length === 0) return [];
  const steps = rows.filter(({ workers }) => isOneThread(workers)).map(({ msPerStep }) => msPerStep.median);
  return [
    `Over sockets a step spends ${range(overheads)} on everything but arithmetic, and one thread needs ${range(steps)} for ` +
      'a whole step. Threads of one process share memory and spend next to nothing, so sockets pay only with more machines: ' +
      'with large batches, and models with much arithmetic for each byte.',
  ];
}

function peerComparisons(results: readonly TrainingResult[]): string[] {
  const peers = results.flatMap(({ training, rows }) =>
    rows.flatMap((row) => (row.kind === 'peer' && row.lockstepAgainstIt ? [{ training, row }] : [])),
  );
  const names = [...new Set(peers.map(({ row }) => row.name))].sort((a, b) => rankOf(a) - rankOf(b));
  return names.map((name) => {
    const ratios = peers.flatMap(({ training, row }) => (row.name === name ? [ratioAt(training.name, row)] : []));
    return `Like for like, throughput over that of ${name}: ${list(ratios)}.`;
  });
}

/** One thread, then threads, then processes, in the order of the rows. */
function rankOf(name: string): number {
  return name === pytorchName ? 0 : name === ddpName ? 2 : 1;
}

function ratioAt(training: string, { lockstepAgainstIt }: PeerRow): string {
  return `${times(lockstepAgainstIt!.median)} at ${training}`;
}

/** "0.40 to 2.1 ms" */
function range(values: readonly number[]): string {
  const [low, high] = [milliseconds(Math.min(...values)), milliseconds(Math.max(...values))];
  return low === high ? `${low} ms` : `${low} to ${high} ms`;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** The results of a comparison, from its measurements: rates, ratios, parts of a step, and what they say, as text. */
import { plural, thousands } from '@lockstep/data/shown';
import type { CurvePoint, Report, StepTimes } from '@lockstep/train';
import { ends, figuresTable, median, milliseconds, pairedRatios, ratioText, type Spread, spread } from '../harness.ts';
import { peers } from '../peers/index.ts';
import type { Training } from './grid.ts';
import type { MeasuredTraining, Workers } from './measure.ts';

/** Samples over which accuracy is averaged: the standard error of the mean is about 1 %. */
const samplesAveraged = 1_000;

/** Steps and seconds of training after which the accuracy is first reached, or undefined if it never is. */
export function timeTo(accuracy: number, curve: readonly CurvePoint[], batch: number) {
  for (const [index, { steps, seconds }] of curve.entries()) {
    let samples = 0;
    let correct = 0;
    for (let back = index; back >= 0 && samples < samplesAveraged; back--) {
      const count = (curve[back]!.steps - (curve[back - 1]?.steps ?? 0)) * batch;
      samples += count;
      correct += (curve[back]!.accuracy ?? 0) * count;
    }
    if (samples >= Math.min(samplesAveraged, batch) && correct / samples >= accuracy) return { steps, seconds };
  }
  return undefined;
}

/** Greatest difference between the losses of two runs at the same steps; infinite if they have different points. */
export function curveDistance(first: readonly CurvePoint[], second: readonly CurvePoint[]): number {
  if (first.length !== second.length) return Number.POSITIVE_INFINITY;
  return first.reduce((most, { steps, loss }, index) => {
    const other = second[index]!;
    return other.steps === steps ? Math.max(most, Math.abs(loss - other.loss)) : Number.POSITIVE_INFINITY;
  }, 0);
}

/** Speed-up over the baseline, round by round, in the rounds that both took part in. */
export function speedUps(msPerStep: readonly number[], baselineMsPerStep: readonly number[]): Spread {
  const rounds = Math.min(msPerStep.length, baselineMsPerStep.length);
  return spread(pairedRatios(baselineMsPerStep.slice(0, rounds), msPerStep.slice(0, rounds)));
}

export const stepParts = ['compute', 'pack', 'send', 'wait', 'reduce', 'optimizer'] as const;
type StepPart = (typeof stepParts)[number];

/** Milliseconds of each part of a step: the median over rounds of each run's median. */
export function stepPartsOf(times: readonly StepTimes[]): Readonly<Record<StepPart, number>> {
  const entries = stepParts.map((part) => [part, median(times.map((each) => each[`${part}Ms`]))]);
  return Object.fromEntries(entries) as Record<StepPart, number>;
}

interface Timed {
  readonly name: string;
  readonly msPerStep: Spread;
  /** Images or tokens, as the training says. */
  readonly perSecond: Spread;
  /** Speed-up over one thread of Lockstep in one process, round by round. */
  readonly timesOneThread: Spread;
}

export type LockstepRow = Timed & ReturnType<typeof lockstepFigures>;
export type PeerRow = Timed & ReturnType<typeof peerFigures>;
export type ResultRow = LockstepRow | PeerRow | Extract<MeasuredTraining, { kind: 'missing' }>;

export type ComparedTraining = ReturnType<typeof comparedTraining>;

export function isTimed(row: ResultRow): row is LockstepRow | PeerRow {
  return row.kind !== 'missing';
}

export function isLockstep(row: ResultRow): row is LockstepRow {
  return row.kind === 'lockstep';
}

function isOneThread({ kind, count }: Workers): boolean {
  return kind === 'threads' && count === 1;
}

type MeasuredLockstep = Extract<MeasuredTraining, { kind: 'lockstep' }>;
type MeasuredPeer = Extract<MeasuredTraining, { kind: 'peer' }>;

/** A training with the rounds in which it was measured. */
type Taken = Training & { readonly rounds: number };

export function comparedTraining(training: Taken, measured: readonly MeasuredTraining[], accuracy: number) {
  const [baseline] = measured;
  if (baseline?.kind !== 'lockstep') throw new Error(`${training.name}: expected one thread of one process first`);
  const reports = measured.flatMap((row) => (row.kind === 'lockstep' ? row.reports : []));
  const [first] = reports;
  const { model: _, ...shown } = training;
  const timedOf = ({ name, msPerStep }: MeasuredLockstep | MeasuredPeer): Timed => ({
    name,
    msPerStep: spread(msPerStep),
    perSecond: spread(msPerStep.map((ms) => (training.work.amount / ms) * 1000)),
    timesOneThread: speedUps(msPerStep, baseline.msPerStep),
  });
  return {
    training: shown,
    /** Whether all runs of Lockstep ended with bit-identical weights. */
    sameWeights: reports.every(({ weightsSha256 }) => weightsSha256 === first?.weightsSha256),
    /** Whether all runs with the same numeric mode did. */
    modesAgree: modesAgree(reports),
    /** Greatest difference of the loss at the same step between any two runs of Lockstep. */
    curveDistance: Math.max(...reports.map(({ curve }) => curveDistance(curve, first?.curve ?? []))),
    rows: measured.map((row): ResultRow => {
      if (row.kind === 'missing') return row;
      const timed = timedOf(row);
      return row.kind === 'peer'
        ? { ...timed, ...peerFigures(row, measured) }
        : { ...timed, ...lockstepFigures(row, timed.timesOneThread.median, training.batch, accuracy) };
    }),
  };
}

/** Only runs of the same numeric mode must have bit-identical weights. */
function modesAgree(reports: readonly Report[]): boolean {
  const weightsOf = new Map(reports.map(({ numericMode, weightsSha256 }) => [numericMode, weightsSha256]));
  return reports.every(
    ({ numericMode, weightsSha256 }) => numericMode === null || weightsOf.get(numericMode) === weightsSha256,
  );
}

function peerFigures(row: MeasuredPeer, measured: readonly MeasuredTraining[]) {
  const { kind, version, notes, distance, msPerStep } = row;
  const equal = peers.find(({ name }) => name === row.name)?.likeForLike;
  const oneThread = measured.find(
    (other): other is MeasuredPeer => other.kind === 'peer' && other.name === equal?.oneThread,
  );
  const ours = measured.find(
    (other): other is MeasuredLockstep =>
      other.kind === 'lockstep' && other.workers.kind === equal?.kind && other.workers.count === equal.count,
  );
  return {
    kind,
    version,
    notes,
    distance,
    /** A peer with several threads or processes over its row of one thread; null for other peers. */
    speedUp: oneThread && row !== oneThread ? speedUps(msPerStep, oneThread.msPerStep) : null,
    /** Throughput of Lockstep with as many threads or processes over the peer's; null if it is not like for like. */
    lockstepAgainstIt: ours ? speedUps(ours.msPerStep, msPerStep) : null,
  };
}

function lockstepFigures(row: MeasuredLockstep, timesOneThread: number, batch: number, accuracy: number) {
  const { kind, workers, command, reports, msPerStep } = row;
  const times = reports.flatMap(({ stepTimes }) => (stepTimes === null ? [] : [stepTimes]));
  const reached = reports.flatMap(({ curve }) => timeTo(accuracy, curve, batch) ?? []);
  const byRate = [...reports.keys()].sort((a, b) => msPerStep[a]! - msPerStep[b]!);
  const { weightsSha256, exactness, numericMode } = reports[0]!;
  return {
    kind,
    workers,
    command,
    /** Speed-up per thread, worker or tab: 1 is perfect. Null for the single thread. */
    efficiency: isOneThread(workers) ? null : timesOneThread / workers.count,
    /** Steps and seconds of training after which the requested accuracy is reached; null if it is not. */
    stepsToAccuracy: reached[0]?.steps ?? null,
    secondsToAccuracy: reached.length < reports.length ? null : spread(reached.map(({ seconds }) => seconds)),
    /** Over the sockets of all workers, both ways, including joining. */
    bytesPerStep: spread(reports.map(({ wire, steps }) => (wire.bytesSent + wire.bytesReceived) / steps)).median,
    parts: times.length === 0 ? null : stepPartsOf(times),
    weightsSha256,
    exactness,
    numericMode,
    /** The curve of the round with the median rate. */
    curve: reports[byRate[byRate.length >> 1]!]!.curve,
  };
}

/** Whether nothing failed, all agree with the reference, and runs of the same numeric mode ended with equal weights. */
export function areSound(results: readonly ComparedTraining[]): boolean {
  return results.every(
    ({ rows, modesAgree }) => modesAgree && rows.every((row) => row.kind !== 'missing' || row.status === 'absent'),
  );
}

/** Lines of one training: throughput of each row, the parts of a step's time, and a sentence for everything else. */
export function resultLines({ training, rows, sameWeights, curveDistance }: ComparedTraining, accuracy: number) {
  const own = rows.filter(isLockstep);
  const { name, parameters, steps, rounds, learningRate, work } = training;
  const headers = ['', `${work.unit}/s`, '(min .. max)', ...ratioHeaders(accuracy)];
  return [
    `${name}: ${thousands(parameters)} parameters, ${steps} steps of plain SGD in each of ${plural(rounds, 'round')}, learning rate ${learningRate}`,
    figuresTable(
      headers,
      rows.filter(isTimed).map((row) => {
        const { perSecond } = row;
        return [rowName(row), thousands(perSecond.median), ends(perSecond, thousands), ...ratioCells(row)];
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
  return ['against 1 thread', 'efficiency', 'like for like', `s to ${Math.round(accuracy * 100)} %`, 'MB per step'];
}

export function ratioCells(row: LockstepRow | PeerRow): string[] {
  const ratio = ratioText(row.timesOneThread.median);
  if (row.kind === 'peer') {
    const { speedUp, lockstepAgainstIt } = row;
    const own = speedUp === null ? '' : `(${ratioText(speedUp.median)} its own)`;
    return [ratio, own, lockstepAgainstIt === null ? '' : ratioText(lockstepAgainstIt.median), '', ''];
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
    ? `  All ${own.length} rows of Lockstep end with the same weights, bit for bit (${own[0]?.weightsSha256.slice(0, 16)}…): one curve of loss at different speeds.`
    : `  Rows of different numeric modes: losses at the same step differ by at most ${curveDistance.toExponential(1)}.`;
}

/** A smaller gain does not justify a more expensive way to train. */
const worthwhile = 1.05;

/** A training with the cheapest of its fastest rows. */
interface Choice {
  readonly name: string;
  readonly row: LockstepRow;
}

export function conclusionOf(results: readonly ComparedTraining[]): string[] {
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
      isOneThread(workers) ? name : `${name} (${ratioText(timesOneThread.median)} one thread)`,
    ),
  );
  if (kind === 'threads') {
    const command = `npm start -- --single --threads ${count}`;
    return `Train on ${row.name} of one process, as fast as anything that costs more here (${command}): ${trainings}.`;
  }
  return `Train with ${row.name}, the fastest here: ${trainings}.`;
}

function reasonOf(results: readonly ComparedTraining[]): string[] {
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
      'a whole step. Threads of one process share memory and have almost no overhead, so sockets pay off only with more ' +
      'machines, large batches, or models with much arithmetic per byte.',
  ];
}

function peerComparisons(results: readonly ComparedTraining[]): string[] {
  const ratios = results.flatMap(({ training, rows }) =>
    rows.flatMap((row) =>
      row.kind === 'peer' && row.lockstepAgainstIt
        ? [{ peer: row.name, text: `${ratioText(row.lockstepAgainstIt.median)} at ${training.name}` }]
        : [],
    ),
  );
  // A training may lack a peer, so the order is the table's.
  return peers.flatMap(({ name }) => {
    const own = ratios.filter(({ peer }) => peer === name).map(({ text }) => text);
    return own.length === 0 ? [] : [`Like for like, throughput over that of ${name}: ${list(own)}.`];
  });
}

/** "0.40 to 2.1 ms" */
function range(values: readonly number[]): string {
  const [low, high] = [milliseconds(Math.min(...values)), milliseconds(Math.max(...values))];
  return low === high ? `${low} ms` : `${low} to ${high} ms`;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

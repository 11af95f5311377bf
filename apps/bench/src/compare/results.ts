/** The report of a comparison, from its measurements: rates, ratios, time to an accuracy, parts of a step. */

import { availableParallelism } from 'node:os';
import type { CurvePoint, Report, StepTimes } from '@lockstep/train';
import { median, pairedRatios, type Spread, spread } from '../statistics.ts';
import type { Training } from './grid.ts';
import type { Workers } from './lockstep-run.ts';
import type { Measured } from './measure.ts';

/** Fraction of a run's steps that counts as warm-up: engines keep compiling hot code for a long time. */
export const startUpPart = 2 / 3;
/**
 * Intervals of the remaining steps: an evaluation at an epoch's end spoils one or two of them, but not their median.
 */
const intervals = 8;

/** Milliseconds per step once the run is warm: the median interval of its last third. */
export function steadyMsPerStep({ curve }: Pick<Report, 'curve'>): number {
  const last = curve.at(-1);
  if (last === undefined || curve.length < 2) {
    throw new RangeError(`curve: expected at least two points, got ${curve.length}`);
  }
  const start = curve.findIndex(({ steps }) => steps >= last.steps * startUpPart);
  const warm = start < 0 || start === curve.length - 1 ? curve : curve.slice(start);
  const count = Math.min(intervals, warm.length - 1);
  const edges = Array.from({ length: count + 1 }, (_, at) => warm[Math.round((at * (warm.length - 1)) / count)]!);
  return median(
    edges.slice(1).map((to, at) => {
      const from = edges[at]!;
      return ((to.seconds - from.seconds) / (to.steps - from.steps)) * 1000;
    }),
  );
}

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

/** Speed-up over the baseline, round by round. */
export function speedUps(msPerStep: readonly number[], baselineMsPerStep: readonly number[]): Spread {
  return spread(pairedRatios(baselineMsPerStep.slice(0, msPerStep.length), msPerStep));
}

export const stepParts = ['compute', 'pack', 'send', 'wait', 'reduce', 'optimizer'] as const;
export type StepPart = (typeof stepParts)[number];

/** Milliseconds of each part of a step: the median over rounds of each run's median. */
export function partsOf(times: readonly StepTimes[]): Readonly<Record<StepPart, number>> {
  const entries = stepParts.map((part) => [part, median(times.map((each) => each[`${part}Ms`]))]);
  return Object.fromEntries(entries) as Record<StepPart, number>;
}

/** Peers that a result looks up by name. */
export const pytorchName = 'PyTorch, 1 thread';
export const pytorchThreadsName = (threads: number): string => `PyTorch, ${threads} threads`;
/** Processes that DDP trains with. */
export const ddpRanks = 2;
export const ddpName = `PyTorch DDP, ${ddpRanks} processes`;

interface Timed {
  readonly name: string;
  readonly msPerStep: Spread;
  readonly imagesPerSecond: Spread;
  /** Speed-up over one thread of Lockstep in one process, round by round. */
  readonly timesOneThread: Spread;
}

export type LockstepRow = Timed & ReturnType<typeof lockstepFigures>;
export type PeerRow = Timed & ReturnType<typeof peerFigures>;
export type ResultRow = LockstepRow | PeerRow | Extract<Measured, { kind: 'missing' }>;

export type TrainingResult = ReturnType<typeof resultOf>;

export function isTimed(row: ResultRow): row is LockstepRow | PeerRow {
  return row.kind !== 'missing';
}

export function isLockstep(row: ResultRow): row is LockstepRow {
  return row.kind === 'lockstep';
}

export function isOneThread({ kind, count }: Workers): boolean {
  return kind === 'threads' && count === 1;
}

type MeasuredLockstep = Extract<Measured, { kind: 'lockstep' }>;
type MeasuredPeer = Extract<Measured, { kind: 'peer' }>;

export function resultOf(training: Training, measured: readonly Measured[], accuracy: number) {
  const [baseline] = measured;
  if (baseline?.kind !== 'lockstep') throw new Error(`${training.name}: expected one thread of one process first`);
  const reports = measured.flatMap((row) => (row.kind === 'lockstep' ? row.reports : []));
  const [first] = reports;
  const { model: _, ...shown } = training;
  const timedOf = ({ name, msPerStep }: MeasuredLockstep | MeasuredPeer): Timed => ({
    name,
    msPerStep: spread(msPerStep),
    imagesPerSecond: spread(msPerStep.map((ms) => (training.batch / ms) * 1000)),
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

function peerFigures(row: MeasuredPeer, measured: readonly Measured[]) {
  const { kind, version, notes, distance, msPerStep } = row;
  const equal = counterpartOf(row.name);
  const oneThread = measured.find(
    (other): other is MeasuredPeer => other.kind === 'peer' && other.name === pytorchName,
  );
  const ours = measured.find(
    (other): other is MeasuredLockstep =>
      other.kind === 'lockstep' && other.workers.kind === equal?.kind && other.workers.count === equal.count,
  );
  const ratios = (numerators: readonly number[], denominators: readonly number[]): Spread => {
    const rounds = Math.min(numerators.length, denominators.length);
    return spread(pairedRatios(numerators.slice(0, rounds), denominators.slice(0, rounds)));
  };
  return {
    kind,
    version,
    notes,
    distance,
    /** PyTorch with all threads or with DDP over its single thread; null for other peers. */
    speedUp: equal && oneThread && row !== oneThread ? ratios(oneThread.msPerStep, msPerStep) : null,
    /** Throughput of Lockstep with as many threads or processes over that of PyTorch; null for other peers. */
    lockstepAgainstIt: ours ? ratios(msPerStep, ours.msPerStep) : null,
  };
}

/** The workers of Lockstep with the same number of threads or processes as a row of PyTorch. */
function counterpartOf(name: string): Workers | undefined {
  if (name === ddpName) return { kind: 'processes', count: ddpRanks };
  if (name === pytorchName) return { kind: 'threads', count: 1 };
  const cores = availableParallelism();
  return name === pytorchThreadsName(cores) ? { kind: 'threads', count: cores } : undefined;
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
    parts: times.length === 0 ? null : partsOf(times),
    weightsSha256,
    exactness,
    numericMode,
    /** The curve of the round with the median rate. */
    curve: reports[byRate[byRate.length >> 1]!]!.curve,
  };
}

/** Whether nothing failed, all agree with the reference, and runs of the same numeric mode ended with equal weights. */
export function isSound(results: readonly TrainingResult[]): boolean {
  return results.every(
    ({ rows, modesAgree }) => modesAgree && rows.every((row) => row.kind !== 'missing' || row.status === 'absent'),
  );
}

/** Converts the measurements of a comparison to its report. */
import { availableParallelism } from 'node:os';
import type { Report } from '@lockstep/train';
import { pairedRatios, type Spread, spread } from '../statistics.ts';
import { curveDistance, partsOf, speedUps, timeTo } from './figures.ts';
import type { Training } from './grid.ts';
import type { Workers } from './lockstep-run.ts';
import type { Measured } from './measure.ts';

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

/** From what was measured to what is shown: the report of a comparison. */
import type { Report } from '@lockstep/train';
import { pairedRatios, type Spread, spread } from '../statistics.ts';
import { curveDistance, partsOf, speedUps, timeTo } from './figures.ts';
import type { Training } from './grid.ts';
import type { Measured } from './measure.ts';

/** Peers that a result looks up by name. */
export const pytorchName = 'PyTorch, 1 process';
/** Processes that DDP trains with. */
export const ddpRanks = 2;
export const ddpName = `PyTorch DDP, ${ddpRanks} processes`;

interface Timed {
  readonly name: string;
  readonly msPerStep: Spread;
  readonly imagesPerSecond: Spread;
  /** Times as fast as Lockstep's single process, round by round. */
  readonly timesSingle: Spread;
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

type MeasuredLockstep = Extract<Measured, { kind: 'lockstep' }>;
type MeasuredPeer = Extract<Measured, { kind: 'peer' }>;

export function resultOf(training: Training, measured: readonly Measured[], accuracy: number) {
  const [baseline] = measured;
  if (baseline?.kind !== 'lockstep') throw new Error(`${training.name}: expected the single process first`);
  const reports = measured.flatMap((row) => (row.kind === 'lockstep' ? row.reports : []));
  const [first] = reports;
  const { model: _, ...shown } = training;
  const timedOf = ({ name, msPerStep }: MeasuredLockstep | MeasuredPeer): Timed => ({
    name,
    msPerStep: spread(msPerStep),
    imagesPerSecond: spread(msPerStep.map((ms) => (training.batch / ms) * 1000)),
    timesSingle: speedUps(msPerStep, baseline.msPerStep),
  });
  return {
    training: shown,
    /** Whether all runs of Lockstep ended with the same weights, to the bit. */
    sameWeights: reports.every(({ weightsSha256 }) => weightsSha256 === first?.weightsSha256),
    /** Whether all that claim the same numeric mode did. */
    modesAgree: modesAgree(reports),
    /** Greatest difference of loss at the same step between any two runs of Lockstep. */
    curveDistance: Math.max(...reports.map(({ curve }) => curveDistance(curve, first?.curve ?? []))),
    rows: measured.map((row): ResultRow => {
      if (row.kind === 'missing') return row;
      const timed = timedOf(row);
      return row.kind === 'peer'
        ? { ...timed, ...peerFigures(row, measured) }
        : { ...timed, ...lockstepFigures(row, timed.timesSingle.median, training.batch, accuracy) };
    }),
  };
}

/** Weights may be compared to the bit only where two runs claim one numeric mode. */
function modesAgree(reports: readonly Report[]): boolean {
  const weightsOf = new Map(reports.map(({ numericMode, weightsSha256 }) => [numericMode, weightsSha256]));
  return reports.every(
    ({ numericMode, weightsSha256 }) => numericMode === null || weightsOf.get(numericMode) === weightsSha256,
  );
}

function peerFigures(row: MeasuredPeer, measured: readonly Measured[]) {
  const { kind, version, notes, distance, msPerStep } = row;
  const figures = { kind, version, notes, distance };
  if (row.name !== ddpName) return { ...figures, speedUp: null, lockstepAgainstIt: null };
  const single = measured.find((other): other is MeasuredPeer => other.kind === 'peer' && other.name === pytorchName);
  const workers = measured.find(
    (other): other is MeasuredLockstep =>
      other.kind === 'lockstep' && other.workers.kind === 'workers' && other.workers.count === ddpRanks,
  );
  return {
    ...figures,
    /** DDP against PyTorch's single process; null for the others. */
    speedUp: single ? speedUps(msPerStep.slice(0, single.msPerStep.length), single.msPerStep) : null,
    /** Throughput of as many workers of Lockstep over that of DDP, round by round; null for the others. */
    lockstepAgainstIt: workers ? spread(pairedRatios(msPerStep, workers.msPerStep.slice(0, msPerStep.length))) : null,
  };
}

function lockstepFigures(row: MeasuredLockstep, timesSingle: number, batch: number, accuracy: number) {
  const { kind, workers, command, reports, msPerStep } = row;
  const times = reports.flatMap(({ stepTimes }) => (stepTimes === null ? [] : [stepTimes]));
  const reached = reports.flatMap(({ curve }) => timeTo(accuracy, curve, batch) ?? []);
  const byRate = [...reports.keys()].sort((a, b) => msPerStep[a]! - msPerStep[b]!);
  const { weightsSha256, exactness, numericMode } = reports[0]!;
  return {
    kind,
    workers,
    command,
    /** Speed-up for each worker: 1 is perfect. Null for the single process. */
    efficiency: workers.kind === 'single' ? null : timesSingle / workers.count,
    /** Steps, and seconds of training, after which the accuracy asked for is reached; null where it is not. */
    stepsToAccuracy: reached[0]?.steps ?? null,
    secondsToAccuracy: reached.length < reports.length ? null : spread(reached.map(({ seconds }) => seconds)),
    /** Over the sockets of all workers, both ways, joining included. */
    bytesPerStep: spread(reports.map(({ wire, steps }) => (wire.bytesSent + wire.bytesReceived) / steps)).median,
    parts: times.length === 0 ? null : partsOf(times),
    weightsSha256,
    exactness,
    numericMode,
    /** Of the round with the median rate. */
    curve: reports[byRate[byRate.length >> 1]!]!.curve,
  };
}

/** Whether nothing failed, all agree with the reference, and runs of equal numeric mode ended with equal weights. */
export function isSound(results: readonly TrainingResult[]): boolean {
  return results.every(
    ({ rows, modesAgree }) => modesAgree && rows.every((row) => row.kind !== 'missing' || row.status === 'absent'),
  );
}

/** From what was measured to what is shown: the report of a comparison. */
import type { CurvePoint } from '@lockstep/train';
import type { Machine } from '../machine.ts';
import { pairedRatios, type Spread, spread } from '../statistics.ts';
import { curveDistance, partsOf, type StepPart, speedUps, timeTo } from './figures.ts';
import type { Training } from './grid.ts';
import type { Crew } from './lockstep-run.ts';
import type { Measured } from './measure.ts';
import { ddpName, ddpRanks, pytorchName } from './peer-names.ts';

interface Timed {
  readonly name: string;
  readonly msPerStep: Spread;
  readonly imagesPerSecond: Spread;
  /** Times as fast as our own single process, round by round. */
  readonly timesSingle: Spread;
}

export interface OwnRow extends Timed {
  readonly kind: 'lockstep';
  readonly crew: Crew;
  readonly command: string;
  /** Speed-up for each worker: 1 is perfect. Absent for the single process. */
  readonly efficiency: number | null;
  /** Steps after which the accuracy asked for is reached; null where it is not. */
  readonly stepsToAccuracy: number | null;
  /** Seconds of training until then. */
  readonly secondsToAccuracy: Spread | null;
  /** Over the sockets of all workers, both ways, joining included. */
  readonly bytesPerStep: number;
  /** Milliseconds of a median step. */
  readonly parts: Readonly<Record<StepPart, number>> | null;
  readonly weightsSha256: string;
  readonly exactness: string;
  /** Of the round with the median rate. */
  readonly curve: readonly CurvePoint[];
}

export interface PeerRow extends Timed {
  readonly kind: 'peer';
  readonly version: string;
  readonly notes: readonly string[];
  readonly distance: number;
  /** DDP against PyTorch's own single process; null for the others. */
  readonly speedUp: Spread | null;
  /** Throughput of as many workers of ours over that of DDP, round by round; null for the others. */
  readonly lockstepAgainstIt: Spread | null;
}

export type ResultRow = OwnRow | PeerRow | Extract<Measured, { kind: 'missing' }>;

export interface TrainingResult {
  readonly training: Omit<Training, 'model'>;
  readonly rows: readonly ResultRow[];
  /** Whether all runs of ours ended with the same weights, to the bit. */
  readonly sameWeights: boolean;
  /** Greatest difference of loss at the same step between any two runs of ours. */
  readonly curveDistance: number;
}

/** Everything that a comparison has measured; times in milliseconds where not said otherwise. */
export interface CompareReport {
  readonly compare: 1;
  readonly lockstep: string;
  readonly startedAt: string;
  readonly wallSeconds: number;
  readonly machine: Machine;
  readonly rounds: number;
  /** 0 to 1. */
  readonly accuracy: number;
  readonly results: readonly TrainingResult[];
  readonly verdict: readonly string[];
}

export function resultOf(training: Training, measured: readonly Measured[], accuracy: number): TrainingResult {
  const [baseline] = measured;
  if (baseline?.kind !== 'lockstep') throw new Error(`${training.name}: expected the single process first`);
  const workers = measured.find(
    (row) => row.kind === 'lockstep' && row.crew.kind === 'workers' && row.crew.count === ddpRanks,
  );
  const pytorch = measured.find(({ name, kind }) => name === pytorchName && kind === 'peer');
  const reports = measured.flatMap((row) => (row.kind === 'lockstep' ? row.reports : []));
  const [first] = reports;
  const { model: _, ...shown } = training;
  return {
    training: shown,
    sameWeights: reports.every(({ weightsSha256 }) => weightsSha256 === first?.weightsSha256),
    curveDistance: Math.max(...reports.map(({ curve }) => curveDistance(curve, first?.curve ?? []))),
    rows: measured.map((row): ResultRow => {
      if (row.kind === 'missing') return row;
      const timed: Timed = {
        name: row.name,
        msPerStep: spread(row.msPerStep),
        imagesPerSecond: spread(row.msPerStep.map((ms) => (training.batch / ms) * 1000)),
        timesSingle: speedUps(row.msPerStep, baseline.msPerStep),
      };
      if (row.kind === 'peer') {
        const { kind, version, notes, distance } = row;
        const isDdp = row.name === ddpName && pytorch?.kind === 'peer';
        const rounds = Math.min(row.msPerStep.length, isDdp ? pytorch.msPerStep.length : 0);
        const speedUp = isDdp ? speedUps(row.msPerStep.slice(0, rounds), pytorch.msPerStep) : null;
        const isRival = row.name === ddpName && workers?.kind === 'lockstep';
        const lockstepAgainstIt = isRival
          ? spread(pairedRatios(row.msPerStep, workers.msPerStep.slice(0, row.msPerStep.length)))
          : null;
        return { ...timed, kind, version, notes, distance, speedUp, lockstepAgainstIt };
      }
      return ownRow(row, timed, training, accuracy);
    }),
  };
}

function ownRow(
  row: Extract<Measured, { kind: 'lockstep' }>,
  timed: Timed,
  { batch }: Training,
  accuracy: number,
): OwnRow {
  const { crew, command, reports, msPerStep } = row;
  const times = reports.flatMap(({ stepTimes }) => (stepTimes === null ? [] : [stepTimes]));
  const reached = reports.flatMap(({ curve }) => timeTo(accuracy, curve, batch) ?? []);
  const [report] = reports;
  const middle = [...msPerStep.keys()].sort((a, b) => msPerStep[a]! - msPerStep[b]!)[msPerStep.length >> 1]!;
  return {
    ...timed,
    kind: 'lockstep',
    crew,
    command,
    efficiency: crew.kind === 'single' ? null : timed.timesSingle.median / crew.count,
    stepsToAccuracy: reached[0]?.steps ?? null,
    secondsToAccuracy: reached.length < reports.length ? null : spread(reached.map(({ seconds }) => seconds)),
    bytesPerStep: spread(reports.map(({ wire, steps }) => (wire.bytesSent + wire.bytesReceived) / steps)).median,
    parts: times.length === 0 ? null : partsOf(times),
    weightsSha256: report!.weightsSha256,
    exactness: report!.exactness,
    curve: reports[middle]!.curve,
  };
}

/** Whether nothing failed, everybody computed the same, and our runs of equal arithmetic ended with equal weights. */
export function isSound(results: readonly TrainingResult[]): boolean {
  return results.every(
    ({ rows, sameWeights }) =>
      rows.every((row) => row.kind !== 'missing' || row.why === 'absent') &&
      (sameWeights || rows.some((row) => row.kind === 'lockstep' && row.exactness !== 'bit-exact')),
  );
}

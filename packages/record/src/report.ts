/** The report of a run, written by `--report` and used for the summary. */
import type { Augmentation, Standardization } from '@lockstep/data';
import { type Evaluation, type Metrics, type Model, type OptimizerConfig, parameterCount } from '@lockstep/nn';
import {
  type CheckedShards,
  type Claim,
  type CoordinatorState,
  claimOf,
  type DataFormat,
  type Faults,
  type InnerSteps,
  type WorkerRecord,
} from '@lockstep/rules';
import type { CurvePoint, TrainingCurve } from './curve.ts';
import type { KeptEpoch, ValidationConfig } from './epoch-choice.ts';
import type { StepTimes, StepTiming } from './step-timing.ts';
import { version } from './version.ts';

/** Loss and accuracy of one epoch, on training and test samples. */
export interface EpochReport {
  /** Counted from 1. */
  readonly epoch: number;
  /** Means over the epoch's samples, each measured with the weights before its step. */
  readonly trainLoss: number;
  /** Null, like `testAccuracy`, if targets are values, or if the loss is not finite because the model has diverged. */
  readonly trainAccuracy: number | null;
  readonly testLoss: number;
  readonly testAccuracy: number | null;
  /** Fraction of the variance of the test targets that the model explains; null if targets are classes, or constant. */
  readonly testR2: number | null;
  /** Root mean squared error on the test data, in the unit of the values; null if targets are classes. */
  readonly testRmse: number | null;
  /** On the validation samples; omitted if there are none. */
  readonly validation?: Evaluation;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** A complete epoch that has not been evaluated. */
export type TrainedEpoch = Omit<EpochReport, 'testLoss' | 'testAccuracy' | 'testR2' | 'testRmse' | 'validation'>;

/**
 * A text that the model has written after a step.
 * Every text of a run has the same prompt and the same seed.
 */
export interface TextSample {
  /** Steps that the weights had taken. */
  readonly step: number;
  /** The text, without the prompt. */
  readonly text: string;
  /** Loss on the part of the held-out text that is evaluated while the run goes on. */
  readonly loss: number;
}

/** An evaluation, and the text if one was to be written. */
export type Evaluated = Evaluation & { readonly text?: string };

/** The work of a worker, and how it spent its time. */
export interface WorkerReport
  extends Pick<WorkerRecord, 'id' | 'name' | 'kind' | 'backend' | 'vectorBits' | 'shards' | 'samples' | 'computeMs'> {
  /** Milliseconds in the run without computing: receiving, sending, and waiting for others. */
  readonly waitMs: number;
  /** Workers that compute for a relay, by its last report. */
  readonly workersBehind?: number;
  /** Fault of the worker's results, `shards` of which had been added before. Omitted if there was none. */
  readonly quarantined?: string;
}

/** Description of the training data. */
export interface DataSummary extends DataFormat {
  /** Number of classes, or of values per sample. */
  readonly outputs: number;
  /** Unit of the text, such as characters; omitted unless samples are text. */
  readonly unit?: 'characters' | 'tokens' | 'bytes';
  /** Standardization of the values, for which losses are given; omitted if the values were not standardized. */
  readonly standardization?: Standardization;
}

/** A round of DiLoCo in the report. */
export interface DiLoCoConfig extends InnerSteps {
  readonly replicas: number;
  /** Steps of a replica in a round. */
  readonly innerSteps: number;
}

export interface RunConfig {
  readonly data: DataSummary;
  readonly seed: number;
  /** Samples in the training set, and in the test set. */
  readonly samples: number;
  readonly testSamples: number;
  /** Validation samples, and how they choose the epoch; omitted if there are none. */
  readonly validation?: ValidationConfig;
  readonly batch: number;
  readonly microbatchSize: number;
  /** The DiLoCo round of a step, whose replicas are the microbatches; omitted if steps are synchronous. */
  readonly diloco?: DiLoCoConfig;
  readonly epochs: number;
  readonly steps: number;
  readonly optimizer: OptimizerConfig;
  readonly workers: number | 'single';
  /** How the nodes of the tree were rounded; omitted if nothing was rounded. */
  readonly gradients?: 'fp16-exact';
  /** SHA-256 of the initial weights; omitted if the seed drew them. */
  readonly initSha256?: string;
  /** Random changes to the training pictures; omitted if there are none. */
  readonly augment?: readonly Augmentation[];
  /** Names of the layers that came from the file of initial weights, and of those drawn by the seed, with `transfer`. */
  readonly transfer?: { readonly taken: readonly string[]; readonly drawn: readonly string[] };
  /** Beginning of the texts that the model writes, and steps from one to the next; omitted unless it writes any. */
  readonly prompt?: string;
  readonly sampleEvery?: number;
  /** Number of first layers with parameters that kept their weights; omitted if all were trained. */
  readonly freeze?: number;
}

/** A return of a run to an earlier step, because results of a worker were wrong. */
interface RewindReport {
  readonly worker: string;
  /** Steps taken before, and those that still counted; the steps between were taken again. */
  readonly fromStep: number;
  readonly toStep: number;
  /** Seconds that the steps between had taken. */
  readonly seconds: number;
}

/** Machine that coordinated a run; null for what cannot be known, as in a page. */
export interface MachineReport {
  /** Runtime, such as `Node 24.1.0`; in a page, the browser's user agent. */
  readonly runtime: string;
  /** Operating system, such as `Linux 6.12.1 x64`. */
  readonly system: string | null;
  readonly processor: string | null;
  readonly cores: number;
}

/** Training data of a run, to compare it with another run. */
export interface DataSource {
  /** Name of the file or folder; null for data from a program. */
  readonly name: string | null;
  /** SHA-256 of the training samples as read: shape, kind of targets, samples, targets. */
  readonly sha256: string;
}

/** The report of a run: its settings, results, workers and faults. */
export interface Report extends Claim {
  /** Version that wrote the report. */
  readonly lockstep: string;
  /** When this process began to train, in UTC, as ISO 8601. */
  readonly startedAt: string;
  readonly machine: MachineReport;
  readonly data: DataSource;
  readonly config: RunConfig;
  readonly model: { readonly name: string; readonly parameters: number };
  /** Mean loss of the first batch with the initial weights. */
  readonly initialLoss: number | null;
  readonly epochs: readonly EpochReport[];
  /** Texts that the model has written, thinned if there are many; omitted unless it writes any. */
  readonly samples?: readonly TextSample[];
  /**
   * Metrics of the final weights on the test samples, of each class or value and over all of them; null if the run
   * ended before its first evaluation, failed, was interrupted, or diverged.
   */
  readonly metrics: Metrics | null;
  /** The same on the validation samples; omitted if there are none. */
  readonly validationMetrics?: Metrics | null | undefined;
  readonly steps: number;
  /** The epoch whose weights the run keeps, if it keeps the best; otherwise omitted, and the last weights are kept. */
  readonly kept?: KeptEpoch;
  /** The epoch after which the run stopped because none had improved; omitted if it took all of its steps. */
  readonly stoppedAfterEpoch?: number;
  /** Steps of the checkpoints from which the run resumed after interruptions; usually empty. */
  readonly resumedAtSteps: readonly number[];
  /** Returns to earlier steps after a worker was caught; usually empty. */
  readonly rewinds: readonly RewindReport[];
  readonly wallSeconds: number;
  readonly imagesPerSecond: number;
  /**
   * SHA-256 of the kept parameters, float32, little-endian, in model order. The hashes of two reports may be compared
   * only if both have the same `numericMode`, and it is not null.
   */
  readonly weightsSha256: string;
  /** Basis of `exactness`: how many of the added shards were compared, and how many were added. */
  readonly checked: CheckedShards;
  /** Whether the same run in one process gave the same weights; null if that was not tried. */
  readonly verified: boolean | null;
  readonly workers: readonly WorkerReport[];
  readonly wire: { readonly bytesSent: number; readonly bytesReceived: number };
  readonly faults: Faults;
  /** Connections and tokens that were rejected, by reason. */
  readonly turnedAway: TurnedAway;
  /** Null if fewer than two steps were taken. */
  readonly stepTimes: StepTimes | null;
  /** At most a few hundred points, in the order of the steps. */
  readonly curve: readonly CurvePoint[];
}

export const noTraffic: Report['wire'] = { bytesSent: 0, bytesReceived: 0 };

export function addTraffic(one: Report['wire'], other: Report['wire']): Report['wire'] {
  return {
    bytesSent: one.bytesSent + other.bytesSent,
    bytesReceived: one.bytesReceived + other.bytesReceived,
  };
}

const turnedAwayReasons = [
  /** Connections cut before they had shown their purpose, because too many were open. */
  'silent',
  /** Connections from an address that opened too many in a short time. */
  'hasty',
  /** Workers and viewers for which there was no place. */
  'full',
  /** Tokens that were missing, wrong, or came too soon after wrong ones. */
  'token',
  /** Pages and host names that may not connect. */
  'origin',
  /** Connections that sent more than was requested, or read too little. */
  'flood',
] as const;

export type TurnedAway = Readonly<Record<(typeof turnedAwayReasons)[number], number>>;

/** Counts of a run without sockets. */
export const nothingTurnedAway = Object.fromEntries(turnedAwayReasons.map((reason) => [reason, 0])) as TurnedAway;

export interface ReportOptions
  extends Pick<
    Report,
    'startedAt' | 'machine' | 'data' | 'config' | 'metrics' | 'validationMetrics' | 'weightsSha256' | 'wire'
  > {
  readonly model: Model;
  readonly state: CoordinatorState;
  readonly record: Pick<Report, 'initialLoss' | 'epochs' | 'samples' | 'steps' | 'resumedAtSteps' | 'rewinds'> & {
    readonly kept: KeptEpoch | undefined;
    readonly stoppedAfterEpoch: number | undefined;
    readonly images: number;
    readonly seconds: number;
    readonly timing: StepTiming;
    readonly curve: TrainingCurve;
  };
  /** Omitted in a run without sockets. */
  readonly turnedAway?: TurnedAway | undefined;
}

export function createReport(options: ReportOptions): Report {
  const { model, state, record, turnedAway = nothingTurnedAway, ...origin } = options;
  const { epochs, samples, steps, kept, stoppedAfterEpoch, seconds } = record;
  return {
    lockstep: version,
    ...origin,
    model: { name: model.name, parameters: parameterCount(model) },
    initialLoss: record.initialLoss,
    epochs,
    ...(samples && { samples }),
    steps,
    ...(kept && { kept }),
    ...(stoppedAfterEpoch !== undefined && { stoppedAfterEpoch }),
    resumedAtSteps: record.resumedAtSteps,
    rewinds: record.rewinds,
    wallSeconds: seconds,
    imagesPerSecond: seconds > 0 ? record.images / seconds : 0,
    ...claimOf(state),
    checked: state.checked,
    verified: null,
    workers: [...state.records.values()].map(workerReport),
    // A copy: the rules change theirs in place.
    faults: { ...state.faults },
    turnedAway,
    stepTimes: record.timing.times() ?? null,
    curve: record.curve.points(),
  };
}

/** The epoch whose weights a run has kept; undefined if no epoch was evaluated. */
export function keptEpochOf({ kept, epochs }: Pick<Report, 'kept' | 'epochs'>): EpochReport | undefined {
  return kept ? epochs.find(({ epoch }) => epoch === kept.epoch) : epochs.at(-1);
}

function workerReport(record: WorkerRecord): WorkerReport {
  const { id, name, kind, backend, vectorBits, shards, samples, computeMs, readyMs, quarantined, workersBehind } =
    record;
  return {
    ...(vectorBits === undefined ? {} : { vectorBits }),
    ...{ id, name, kind, backend, shards, samples, computeMs, waitMs: Math.max(0, readyMs - computeMs) },
    ...(workersBehind === undefined ? {} : { workersBehind }),
    ...(quarantined === undefined ? {} : { quarantined }),
  };
}

/** The report of a run: what `--report` writes and the summary is printed from. */
import { type Model, type OptimizerConfig, parameterCount, type Standardization } from '@lockstep/nn';
import {
  type CheckedShards,
  type Claim,
  type CoordinatorState,
  claimOf,
  type DataFormat,
  type Faults,
  type WorkerRecord,
} from '@lockstep/training';
import type { DiLoCoConfig } from '../diloco.ts';
import { nothingTurnedAway, type TurnedAway } from '../report/turned-away.ts';
import { version } from '../version.ts';
import type { CurvePoint } from './curve.ts';
import type { RunRecord } from './recorder.ts';
import type { StepTimes } from './step-timing.ts';

/** Loss and accuracy of one epoch, on training and test samples. */
export interface EpochReport {
  /** From 1. */
  readonly epoch: number;
  /** Means over the epoch's samples, each measured with the weights before its step. */
  readonly trainLoss: number;
  /** Null where targets are values, as `testAccuracy`. */
  readonly trainAccuracy: number | null;
  readonly testLoss: number;
  readonly testAccuracy: number | null;
  /** Part of the variance of the test targets that is explained; null where targets are classes, or do not vary. */
  readonly testR2: number | null;
  /** Root of the mean squared error on the test data, in the unit of the values; null where targets are classes. */
  readonly testRmse: number | null;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** An epoch that is over and has not been evaluated. */
export type TrainedEpoch = Omit<EpochReport, 'testLoss' | 'testAccuracy' | 'testR2' | 'testRmse'>;

/** What a worker has computed, and where its time went. */
export interface WorkerReport
  extends Pick<WorkerRecord, 'id' | 'name' | 'kind' | 'backend' | 'shards' | 'samples' | 'computeMs'> {
  /** Time that it took part and did not compute: receiving, sending, and waiting for others. */
  readonly waitMs: number;
  /** Of a relay: the workers that compute for it, as it said last. */
  readonly workersBehind?: number;
  /** What was wrong with its results; its `shards` had been added before. Left out where nothing was. */
  readonly quarantined?: string;
}

/** What was trained on. */
export interface DataSummary extends DataFormat {
  /** Classes, or values of a sample. */
  readonly outputs: number;
  /** Of values, of which a loss is that of the standardized ones; left out where they are as they were given. */
  readonly standardization?: Standardization;
}

export interface RunConfig {
  readonly data: DataSummary;
  readonly seed: number;
  /** In the training set. */
  readonly samples: number;
  readonly batch: number;
  readonly microbatchSize: number;
  /** The round that a step is, whose replicas are the microbatches; left out where every step is sent. */
  readonly diloco?: DiLoCoConfig;
  readonly epochs: number;
  readonly steps: number;
  readonly optimizer: OptimizerConfig;
  readonly workers: number | 'single';
  /** How workers rounded what they sent, or the nodes of the tree; left out where nothing was rounded. */
  readonly gradients?: 'fp16-exact';
  /** SHA-256 of the weights that the run began with; left out where the seed drew them. */
  readonly initSha256?: string;
}

/** Machine that coordinated a run; null for what cannot be known, as in a page. */
export interface MachineReport {
  /** Such as `Node 24.1.0`; in a page, the browser's user agent. */
  readonly runtime: string;
  /** Such as `Linux 6.12.1 x64`. */
  readonly system: string | null;
  readonly processor: string | null;
  readonly cores: number;
}

/** Training data of a run, so that another run can be compared with it. */
export interface DataSource {
  /** Name of the file or folder; null for data that a program made. */
  readonly name: string | null;
  /** SHA-256 of the training samples as they were read: shape, kind of targets, samples, targets. */
  readonly sha256: string;
}

/** What a run has done: its settings, results, workers and faults. */
export interface Report extends Claim {
  /** Version that wrote it. */
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
  readonly steps: number;
  /** Steps of the checkpoints from which the run went on after it had been cut off; most runs have none. */
  readonly resumedAtSteps: readonly number[];
  readonly wallSeconds: number;
  readonly imagesPerSecond: number;
  /**
   * SHA-256 of the final parameters, float32, little-endian, in model order. Two reports' may be compared only where both
   * have the same `numericMode`, and it is not null.
   */
  readonly weightsSha256: string;
  /** Basis of `exactness`: how many of the added shards were compared, and how many were added. */
  readonly checked: CheckedShards;
  /** Whether the same run in one process gave the same weights; null where that was not tried. */
  readonly verified: boolean | null;
  readonly workers: readonly WorkerReport[];
  readonly wire: { readonly bytesSent: number; readonly bytesReceived: number };
  readonly faults: Faults;
  /** Connections and tokens that were turned away, by reason. */
  readonly turnedAway: TurnedAway;
  /** Null where fewer than two steps were taken. */
  readonly stepTimes: StepTimes | null;
  /** At most a few hundred points, in the order of the steps. */
  readonly curve: readonly CurvePoint[];
}

export interface ReportOptions
  extends Pick<Report, 'startedAt' | 'machine' | 'data' | 'config' | 'weightsSha256' | 'wire'> {
  readonly model: Model;
  readonly state: CoordinatorState;
  readonly record: RunRecord;
  /** Omitted in a run without sockets. */
  readonly turnedAway?: TurnedAway | undefined;
}

export function createReport({
  model,
  state,
  record,
  turnedAway = nothingTurnedAway,
  ...options
}: ReportOptions): Report {
  const { startedAt, machine, data, config, weightsSha256, wire } = options;
  const { initialLoss, epochs, steps, resumedAtSteps, seconds, samples, timing, curve } = record;
  return {
    lockstep: version,
    startedAt,
    machine,
    data,
    config,
    model: { name: model.name, parameters: parameterCount(model) },
    initialLoss: initialLoss ?? null,
    epochs,
    steps,
    resumedAtSteps,
    wallSeconds: seconds,
    imagesPerSecond: seconds > 0 ? samples / seconds : 0,
    weightsSha256,
    ...claimOf(state),
    checked: state.checked,
    verified: null,
    workers: [...state.records.values()].map(workerReport),
    wire,
    faults: state.faults,
    turnedAway,
    stepTimes: timing.times() ?? null,
    curve: curve.points(),
  };
}

function workerReport(record: WorkerRecord): WorkerReport {
  const { id, name, kind, backend, shards, samples, computeMs, readyMs, quarantined, workersBehind } = record;
  const work = { shards, samples, computeMs, waitMs: Math.max(0, readyMs - computeMs) };
  return {
    ...{ id, name, kind, backend, ...work },
    ...(workersBehind === undefined ? {} : { workersBehind }),
    ...(quarantined === undefined ? {} : { quarantined }),
  };
}

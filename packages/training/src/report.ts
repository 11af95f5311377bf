/** The report of a run: what `--report` writes and the summary is printed from. */
import type { Model, OptimizerConfig } from '@lockstep/nn';
import { parameterCount } from '@lockstep/nn';
import type { CoordinatorState, Faults, WorkerRecord } from './coordinator/state.ts';

export interface EpochReport {
  /** From 1. */
  readonly epoch: number;
  /** Means over the epoch's samples, each measured with the weights before its step. */
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly testLoss: number;
  readonly testAccuracy: number;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

export interface WorkerReport {
  readonly id: string;
  readonly name: string;
  readonly kind: WorkerRecord['kind'];
  readonly backend: string;
  readonly blocks: number;
  readonly samples: number;
  readonly computeMs: number;
  /** Time that it took part and did not compute: receiving, sending, and waiting for others. */
  readonly waitMs: number;
}

/** Whether every result came from equal arithmetic, so that the weights are those of any other such run to the bit. */
export type Exactness = 'bit-exact' | 'sample-exact';

export interface RunConfig {
  readonly seed: number;
  readonly batch: number;
  readonly leafSize: number;
  readonly epochs: number;
  readonly steps: number;
  readonly optimizer: OptimizerConfig;
  readonly workers: number | 'single';
}

export interface Report {
  /** Version that wrote it. */
  readonly lockstep: string;
  readonly config: RunConfig;
  readonly model: { readonly name: string; readonly parameters: number };
  /** Mean loss of the first batch with the initial weights. */
  readonly initialLoss: number | null;
  readonly epochs: readonly EpochReport[];
  readonly steps: number;
  readonly wallSeconds: number;
  readonly imagesPerSecond: number;
  /** SHA-256 of the final parameters, float32, little-endian, in model order. */
  readonly weightsSha256: string;
  readonly exactness: Exactness;
  readonly workers: readonly WorkerReport[];
  readonly wire: { readonly bytesSent: number; readonly bytesReceived: number };
  readonly faults: Faults;
}

export interface ReportOptions {
  readonly version: string;
  readonly config: RunConfig;
  readonly model: Model;
  readonly state: CoordinatorState;
  readonly initialLoss: number | undefined;
  readonly epochs: readonly EpochReport[];
  readonly images: number;
  readonly steps: number;
  readonly wallSeconds: number;
  readonly weightsSha256: string;
  readonly wire: Report['wire'];
}

export function createReport(options: ReportOptions): Report {
  const { version, config, model, state, initialLoss, epochs, images, steps, wallSeconds, weightsSha256, wire } =
    options;
  return {
    lockstep: version,
    config,
    model: { name: model.name, parameters: parameterCount(model) },
    initialLoss: initialLoss ?? null,
    epochs,
    steps,
    wallSeconds,
    imagesPerSecond: wallSeconds > 0 ? images / wallSeconds : 0,
    weightsSha256,
    exactness: exactnessOf(state),
    workers: [...state.records.values()].map(workerReport),
    wire,
    faults: state.faults,
  };
}

export function exactnessOf(state: CoordinatorState): Exactness {
  return state.contributed.size <= 1 ? 'bit-exact' : 'sample-exact';
}

function workerReport({ id, name, kind, backend, blocks, samples, computeMs, readyMs }: WorkerRecord): WorkerReport {
  return { id, name, kind, backend, blocks, samples, computeMs, waitMs: Math.max(0, readyMs - computeMs) };
}

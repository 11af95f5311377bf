/**
 * The library in Node: runs trained by this process or by workers that join, and loaded models.
 * @module
 */
import type { Server } from 'node:http';
import { type ArgumentKind, argumentKinds, checkArguments, objectWith } from '@lockstep/data';
import { readRegularFile, shownPath } from '@lockstep/data/files';
import { errorMessage } from '@lockstep/data/shown';
import {
  type ListenOptions,
  type LoadedModel,
  type LoadModelOptions,
  loadModel as loadBytes,
  maxModelFileBytes,
  type TrainOptions,
} from '@lockstep/prepare';
import { nodePlatform } from './node-platform.ts';
import { type SweepOptions, type SweepReport, sweepOn } from './sweep.ts';
import { TrainingRun } from './training-run.ts';

export {
  type AuditOptions,
  type AuditResult,
  audit,
  type Finding,
  type LedSteps,
  type ReplayState,
  type StoredState,
  TranscriptError,
  type WrongShard,
} from '@lockstep/audit';
export { DataError } from '@lockstep/data';
export { FileError } from '@lockstep/data/files';
export { openDataset } from '@lockstep/data/node';
export { datasetFrom, splitDataset } from '@lockstep/data/readers';
export {
  type GenerateOptions,
  type ListenOptions,
  LoadedModel,
  type LoadModelOptions,
  type ModelEvaluation,
  type OptimizerOptions,
  type Prediction,
  type ReadBy,
  type RowPrediction,
  type TrainingData,
  type TrainOptions,
  type ValuePrediction,
} from '@lockstep/prepare';
export type {
  Addresses,
  CheckpointInterval,
  CheckpointOptions,
  CurvePoint,
  DataSource,
  DataSummary,
  EpochEvent,
  EpochReport,
  EvaluatedEpoch,
  KeptEpoch,
  ListeningEvent,
  MachineReport,
  PreparedEvent,
  RelayPlace,
  RelaysEvent,
  Report,
  RunClaim,
  SampleEvent,
  SharedCheckpoints,
  StepEvent,
  StepTimes,
  TextSample,
  TrainingEvent,
  TranscriptPart,
  ValidationConfig,
  WorkerReport,
} from '@lockstep/record';
export { type RelayEvent, type RelayOptions, relay } from '@lockstep/relay';
export { ConfigurationError } from '@lockstep/worker';
export type { SweepCombination, SweepOptions, SweepReport, SweepRow, SweptRun } from './sweep.ts';
export type { Verification } from './training-result.ts';
export { TrainingError, type TrainingOutcome, type TrainingResult } from './training-result.ts';
export type { TrainingRun } from './training-run.ts';

/**
 * Starts to train.
 * Errors are thrown by the run's result, and by a loop over the run.
 * If the run has workers, start the program with `node --no-incremental-marking program.mjs`: V8 then marks its heap
 * less often, as it does in local workers anyway, which can halve the time of a step.
 */
export function train(options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(options, nodePlatform);
}

/**
 * Trains one run after another on the same workers, each with the weights that it has alone.
 * Runs differ by the combinations of a `grid`, by `seeds`, or by `folds` of the data.
 * @throws ConfigurationError before the first run; TrainingError if a run could not go on
 */
export function sweep(options: SweepOptions): Promise<SweepReport> {
  return sweepOn(options, nodePlatform);
}

const serverKind = objectWith('an http.Server', 'listeners');

/** Options of a run on the caller's server. */
export interface ServeOptions extends Omit<TrainOptions, 'listen'> {
  readonly listen?: Omit<ListenOptions, 'server' | 'port' | 'tls'> | undefined;
}

/**
 * Starts to train on an HTTP server that is already listening.
 * Page, sockets, `/healthz` and `/metrics` are below `listen.path`. All other requests go to the server's own handlers.
 */
export function serve(server: Server, options: ServeOptions = {}): TrainingRun {
  checkArguments('serve', [serverKind, server], [argumentKinds.options, options]);
  return train({ ...options, listen: { ...options.listen, server } });
}

const sourceKind: ArgumentKind = {
  expected: 'a path or bytes',
  accepts: (value) => typeof value === 'string' || value instanceof Uint8Array,
};

/**
 * Loads a model for `predict` and `evaluate`, on the CPU.
 * It computes in WebAssembly if that has SIMD, otherwise in plain JavaScript.
 *
 * @param source a file name, or a file's bytes: safetensors as written by `--save` or by PyTorch
 * @throws Error with one sentence if the file cannot be read, is damaged, or does not say which model it contains
 */
export async function loadModel(source: string | Uint8Array, options: LoadModelOptions = {}): Promise<LoadedModel> {
  checkArguments('loadModel', [sourceKind, source], [argumentKinds.options, options]);
  if (typeof source !== 'string') return loadBytes(source, options);
  const bytes = readRegularFile(source, maxModelFileBytes);
  try {
    return await loadBytes(bytes, options);
  } catch (error) {
    throw new Error(`${shownPath(source)}: ${errorMessage(error)}`);
  }
}

/** The library in Node: runs that are trained here or by workers that join, and models that are loaded. */

import type { Server } from 'node:http';
import { nodePlatform } from './node/node-platform.ts';
import type { ListenOptions, TrainOptions } from './options.ts';
import { TrainingRun } from './training-run.ts';

export { ConfigurationError } from '@lockstep/worker';
export { gradientFormats, optimizerTypes, optionBounds } from './check-options.ts';
export { type Checkpoint, decodeCheckpoint } from './checkpoint/checkpoint.ts';
export { type CheckpointInterval, defaultInterval } from './checkpoint/interval.ts';
export type { ListeningEvent, PreparedEvent, StepEvent, TrainingEvent } from './events.ts';
export { type Addresses, isLoopback } from './http/addresses.ts';
export { LoadedModel, type LoadModelOptions, loadModel, type ModelEvaluation } from './model/load-model.ts';
export { formatOf } from './model/model-file.ts';
export type { Prediction } from './model/predictor.ts';
export { maxModelFileBytes, readStoredModel, type StoredModel } from './model/stored-model.ts';
export { movingAverage } from './moving-average.ts';
export { defaultLearningRates, defaultsOfSetting } from './optimizer/optimizer-defaults.ts';
export { defaultsOf } from './optimizer/recipes.ts';
export { defaultHost, defaultPort, type ListenOptions, type OptimizerOptions, type TrainOptions } from './options.ts';
export type { CurvePoint, EpochReport, Report, StepTimes, WorkerReport } from './report/report.ts';
export type { Verification } from './run/verify.ts';
export { thousands } from './thousands.ts';
export { TrainingError, type TrainingOutcome, type TrainingResult } from './training-result.ts';
export type { TrainingRun } from './training-run.ts';
export { version } from './version.ts';

/** Begins to train; what cannot be done is thrown by the run's result, and by a loop over it. */
export function train(options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(options, nodePlatform);
}

export interface ServeOptions extends Omit<TrainOptions, 'listen'> {
  readonly listen?: Omit<ListenOptions, 'server' | 'port' | 'tls'> | undefined;
}

/**
 * Begins to train on an HTTP server that listens already, with page, sockets, `/healthz` and `/metrics` below `listen.path`.
 * What is not theirs goes on to the handlers that the server has.
 */
export function serve(server: Server, { listen, ...options }: ServeOptions = {}): TrainingRun {
  return train({ ...options, listen: { ...listen, server } });
}

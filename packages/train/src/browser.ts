/** The library in a page: runs in this thread and in its own threads, on data in memory; loaded models. */
import type { TrainOptions } from './options.ts';
import { pagePlatform } from './page/page-platform.ts';
import { TrainingRun } from './training-run.ts';

export { DataError } from '@lockstep/data';
export { datasetFrom, splitDataset } from '@lockstep/data/readers';
export { ConfigurationError } from '@lockstep/worker';
export type { EpochEvent, PreparedEvent, StepEvent, TrainingEvent } from './events.ts';
export type { Prediction } from './model.ts';
export { LoadedModel, type LoadModelOptions, loadModel, type ModelEvaluation } from './model.ts';
export type { OptimizerOptions, TrainOptions } from './options.ts';
export type { Report } from './record/report.ts';
export { TrainingError, type TrainingResult } from './training-result.ts';
export type { TrainingRun } from './training-run.ts';

/** Starts to train. Errors are thrown by the run's result, and by a loop over the run. */
export function train(options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(options, pagePlatform);
}

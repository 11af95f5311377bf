/** The library in a page: runs of this thread, and of those beside it, on data in memory; models that are loaded. */
import type { TrainOptions } from './options.ts';
import { pagePlatform } from './page/page-platform.ts';
import { TrainingRun } from './training-run.ts';

export { DataError } from '@lockstep/data';
export { datasetFrom, splitDataset } from '@lockstep/data/readers';
export { ConfigurationError } from '@lockstep/worker';
export type { EpochEvent, PreparedEvent, StepEvent, TrainingEvent } from './events.ts';
export { LoadedModel, type LoadModelOptions, loadModel, type ModelEvaluation } from './model/load-model.ts';
export type { Prediction } from './model/predictor.ts';
export type { OptimizerOptions, TrainOptions } from './options.ts';
export type { Report } from './record/report.ts';
export { TrainingError, type TrainingResult } from './training-result.ts';
export type { TrainingRun } from './training-run.ts';

/** Begins to train; what cannot be done is thrown by the run's result, and by a loop over it. */
export function train(options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(options, pagePlatform);
}

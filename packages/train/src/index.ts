/** The library: models that are loaded, and what the command lines share, such as reports and checkpoints. */
export {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type RunIdentity,
} from './checkpoint.ts';
export { type ComputeChoice, computeChoices, defaultThreads, threadsFault } from './compute-choice.ts';
export { identityFault } from './identity-fault.ts';
export { LoadedModel, type LoadModelOptions, loadModel, type ModelEvaluation } from './load-model.ts';
export type { Prediction } from './predictor.ts';
export type { CurveState, Progress, StepSums } from './progress.ts';
export {
  type CurvePoint,
  createReport,
  type DataSummary,
  type EpochReport,
  type Report,
  type ReportOptions,
  type RunConfig,
  type StepTimes,
  type TrainedEpoch,
  type WorkerReport,
} from './report.ts';
export { maxModelFileBytes, readStoredModel, type StoredModel } from './stored-model.ts';
export { systemClock } from './system-clock.ts';
export { nothingTurnedAway, type TurnedAway, turnedAwayReasons } from './turned-away.ts';

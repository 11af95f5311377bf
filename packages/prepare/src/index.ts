/** From options, data and model files to a run that can start; and loaded models. */
export { balanced, type ClassWeights, parseClassWeights } from './class-weights.ts';
export { type CreatedRun, checkOwnNumerics, createRun, idlePool, type WorkerPool } from './create-run.ts';
export { defaultModel, textFor } from './defaults.ts';
export {
  type GenerateOptions,
  LoadedModel,
  type LoadModelOptions,
  loadModel,
  type ModelEvaluation,
  type ModelFormat,
  maxModelFileBytes,
  metadataOf,
  modelFileOf,
  modelFormatOf,
  modelFormats,
  optionsAlike,
  type Prediction,
  type RowPrediction,
  readInitialWeights,
  readStoredModel,
  type StoredModel,
  textColumnOf,
  transferWeights,
  type ValuePrediction,
} from './model.ts';
export {
  checkTrainOptions,
  dataKind,
  listenOptions,
  modelFileKind,
  type RunValues,
  runCommands,
  runOptions,
  tlsKind,
  uploadedData,
} from './option-table.ts';
export {
  defaultHost,
  defaultPort,
  type ListenOptions,
  type OptimizerOptions,
  type ReadBy,
  type TlsOptions,
  type TrainingData,
  type TrainOptions,
} from './options.ts';
export type { Platform, PreparingHost } from './platform.ts';
export { defaultSeed, frozenBy, listenOf, prepare, prepareServer } from './prepare.ts';
export {
  dataHash,
  identityOf,
  type LocalWorkersSetup,
  type NetworkSettings,
  type Prepared,
  runText,
  type Tls,
} from './prepared.ts';
export { createMeasurement, generateOptions, type Measured, type WritingSetup } from './writing.ts';

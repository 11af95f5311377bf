/**
 * Models as data, their parameters, gradients and optimizers, on top of the tensor engine.
 * @module
 */

export {
  type ConfusionMatrix,
  createConfusionEvaluator,
  createEvaluation,
  createEvaluator,
  createValueErrors,
  type DatasetEvaluator,
  type Evaluation,
  type Evaluator,
  evaluationWork,
  largestScore,
  type Monitor,
  type MonitorName,
  monitors,
  predictionCount,
  probabilitiesOf,
  type WeightsMemory,
} from './evaluation.ts';
export {
  checkOps,
  forward,
  type OpTable,
  recordLoss,
  recordPrediction,
  replay,
  type Tape,
} from './forward.ts';
export {
  type Continuation,
  continueText,
  createGeneration,
  type Generation,
  promptTokens,
  sampleToken,
} from './generation.ts';
export { gpt2Config } from './gpt2.ts';
export { fromTorch, sameLayout, type TorchLayout } from './layer-kind.ts';
export { type Layer, type LayerType, layers } from './layers.ts';
export { losses } from './losses.ts';
export {
  type ClassificationMetrics,
  type ClassMetrics,
  type ClassRates,
  type Metrics,
  type OutputMetrics,
  type RegressionMetrics,
  rateNames,
  rates,
  type TextMetrics,
} from './metrics.ts';
export {
  builtInModels,
  embeddingOf,
  everyLayer,
  fitFault,
  fitOf,
  initialize,
  inputSize,
  type Model,
  outputCount,
  type PlacedLayer,
  parameterCount,
  parameterLayout,
  parseModel,
  predictsPositions,
  resolveModel,
  sampleSize,
  summary,
} from './model.ts';
export {
  describeModel,
  type ModelDescription,
  numberedClasses,
  parseDescription,
  readModelFile,
  readTensors,
  torchTensors,
  writeModelFile,
} from './model-file.ts';
export { createOptimizer, type DecayRange, type Optimizer, type OptimizerState, stepCalls } from './optimizer.ts';
export {
  defaultOptimizer,
  hasSetting,
  learningRateAt,
  type OptimizerConfig,
  type OptimizerType,
  optimizerRule,
  optimizers,
  parseOptimizer,
} from './optimizers.ts';
export {
  byteDivisor,
  createMicrobatchGradient,
  createPrediction,
  createShardGradient,
  defaultKey,
  type LabeledPlan,
  type RandomKey,
  type SampleRows,
} from './plans.ts';
export { readSafetensors, writeSafetensors } from './safetensors.ts';
export { type Schedule, type ScheduleType, scheduleFactor, schedules } from './schedules.ts';
export { restoreValues, rootMeanSquaredError, standardizeValues } from './standardization.ts';

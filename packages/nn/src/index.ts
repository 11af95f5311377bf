/**
 * Models as data, their parameters, gradients and optimizers, on top of the tensor engine.
 * @module
 */
export { builtInModels, resolveModel } from './built-in.ts';
export { argmax, probabilitiesOf } from './class-scores.ts';
export { type ConfusionMatrix, createConfusionEvaluator } from './confusion-matrix.ts';
export type { DatasetEvaluator, LabeledSamples, WeightsMemory } from './dataset-evaluator.ts';
export { createEvaluation, createEvaluator, type Evaluation, type Evaluator } from './evaluation.ts';
export { layerOutputs } from './forward.ts';
export { createMicrobatchGradient, createShardGradient } from './gradient-plan.ts';
export { initialize } from './initialize.ts';
export { defaultKey, type LabeledPlan, type RandomKey } from './labeled-plan.ts';
export { type Layer, type LayerType, layers } from './layers/index.ts';
export { losses, type TargetType, type TargetValues } from './losses.ts';
export { inputSize, layerParameters, layerShapes, type Model, outputCount, parseModel } from './model.ts';
export {
  byteScaling,
  describeModel,
  type ModelDescription,
  numberedClasses,
  parseDescription,
  scalingOf,
} from './model-description.ts';
export { readModelFile, torchTensors, writeModelFile } from './model-file.ts';
export { createOptimizer, type Optimizer, type OptimizerState } from './optimizer.ts';
export {
  defaultOptimizer,
  hasSetting,
  learningRateAt,
  type OptimizerConfig,
  type OptimizerType,
  optimizerRule,
  optimizers,
  parseOptimizer,
} from './optimizers/index.ts';
export { parameterCount, parameterLayout } from './parameters.ts';
export { createPrediction } from './prediction-plan.ts';
export type { Reading } from './reading.ts';
export { readSafetensors, writeSafetensors } from './safetensors.ts';
export { byteDivisor, type SampleRows, type SampleValues } from './sample-input.ts';
export { type Schedule, type ScheduleType, scheduleFactor, schedules } from './schedules.ts';
export {
  restoreValues,
  rootMeanSquaredError,
  type Standardization,
  standardizeValues,
} from './standardization.ts';
export { stepCalls } from './step-programs.ts';
export { summary } from './summary.ts';
export { createValueErrors } from './value-errors.ts';

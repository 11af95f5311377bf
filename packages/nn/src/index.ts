/** Models as data, their parameters, gradients and optimizers, on top of the tensor engine. */
export { builtInModels, resolveModel } from './built-in.ts';
export {
  type ConfusionEvaluator,
  type ConfusionMatrix,
  createConfusionEvaluator,
  type TopError,
} from './confusion-matrix.ts';
export { createEvaluator, type Evaluation, type Evaluator } from './evaluation.ts';
export { forward } from './forward.ts';
export {
  createEvaluation,
  createMicrobatchGradient,
  createPrediction,
  createShardGradient,
  type LabeledPlan,
  type PixelRows,
  type PredictionPlan,
} from './gradient-plan.ts';
export { initialize } from './initialize.ts';
export { type Layer, layers } from './layers/index.ts';
export { inputSize, layerShapes, type Model, outputClasses, parseModel } from './model.ts';
export { readModelFile, writeModelFile } from './model-file.ts';
export { createOptimizer, type Optimizer, type OptimizerState } from './optimizer.ts';
export {
  defaultOptimizer,
  hasSetting,
  learningRateAt,
  type OptimizerConfig,
  type OptimizerType,
  optimizers,
  parseOptimizer,
} from './optimizers/index.ts';
export { type Parameter, parameterCount, parameterLayout } from './parameters.ts';
export { defaultKey, type RandomKey } from './random-key.ts';
export { type NamedTensor, readSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors.ts';
export { type Schedule, type ScheduleType, scheduleFactor, schedules } from './schedules.ts';
export { summary } from './summary.ts';

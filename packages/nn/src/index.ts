/** Models as data, their parameters, gradients and optimizers, on top of the tensor engine. */
export { builtInModels, resolveModel } from './built-in.ts';
export { forward } from './forward.ts';
export { initialise } from './initialise.ts';
export { type Layer, layers } from './layers/index.ts';
export type { LayerKind, LayerParameter } from './layers/layer.ts';
export {
  createBlockGradient,
  createEvaluation,
  createLeafGradient,
  createPrediction,
  type LabelledPlan,
  type PixelRows,
  type PredictionPlan,
} from './leaf.ts';
export { inputSize, layerShapes, type Model, outputClasses, parseModel } from './model.ts';
export { readModelFile, writeModelFile } from './model-file.ts';
export { createOptimizer, type Optimizer, type OptimizerState } from './optimizer.ts';
export {
  learningRateAt,
  type OptimizerConfig,
  type OptimizerType,
  optimizers,
  parseOptimizer,
} from './optimizers/index.ts';
export type { OptimizerRule, RuleMoment, RuleValues } from './optimizers/rule.ts';
export { type Parameter, parameterCount, parameterLayout } from './parameters.ts';
export { defaultKey, type RandomKey } from './random-key.ts';
export { type NamedTensor, readSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors.ts';
export { type Schedule, type ScheduleType, scheduleFactor, schedules } from './schedules.ts';
export { summary } from './summary.ts';

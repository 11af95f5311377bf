/** From options, data and model files to a run that can start; and loaded models. */
export { balanced, type ClassWeights, parseClassWeights } from './class-weights.ts';
export * from './create-run.ts';
export { defaultModel, textFor } from './defaults.ts';
export * from './model.ts';
export * from './option-table.ts';
export * from './options.ts';
export * from './platform.ts';
export * from './prepare.ts';
export * from './prepared.ts';
export { createMeasurement, generateOptions, type Measured, type WritingSetup } from './writing.ts';

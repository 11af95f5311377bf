/** The library in a page: models that are loaded. */
export { LoadedModel, type LoadModelOptions, loadModel, type ModelEvaluation } from './model/load-model.ts';
export type { Prediction } from './model/predictor.ts';
export { readStoredModel, type StoredModel } from './model/stored-model.ts';

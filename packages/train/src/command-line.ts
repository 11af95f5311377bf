/** What command lines share with the library: names, bounds and defaults of options, and how figures are written. */
export { gradientFormats, optimizerTypes, optionBounds } from './check-options.ts';
export { defaultEpochsText } from './default-length.ts';
export { dilocoDefaults, outerLearningRate } from './diloco.ts';
export { isLoopback } from './http/addresses.ts';
export { formatOf } from './model/model-file.ts';
export { maxModelFileBytes, readStoredModel, type StoredModel } from './model/stored-model.ts';
export { defaultLearningRates, defaultsOfSetting } from './optimizer/optimizer-defaults.ts';
export { defaultsOf } from './optimizer/recipes.ts';
export { defaultHost, defaultPort } from './options.ts';
export { uploadedData } from './prepare.ts';
export { samplesWord } from './samples-word.ts';
export { thousands } from './thousands.ts';

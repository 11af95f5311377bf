/** What command lines share with the library: the tables of options, and how figures are written. */
export { isLoopback } from './http/addresses.ts';
export { formatOf } from './model/model-file.ts';
export { maxModelFileBytes, readStoredModel, type StoredModel } from './model/stored-model.ts';
export { type RunValues, runCommands, runOptions, uploadedData } from './option-table.ts';
export { relayCommand } from './relay/options.ts';
export { samplesWord } from './samples-word.ts';
export { thousands } from './thousands.ts';

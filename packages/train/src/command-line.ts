/** The option tables and words that command lines share with the library. */
export { defaultModel } from './defaults.ts';
export { maxModelFileBytes, modelFormatOf, readStoredModel, type StoredModel } from './model.ts';
export { type RunValues, runCommands, runOptions, uploadedData } from './option-table.ts';
export { relayCommand } from './relay/relay.ts';
export { isLoopback } from './site/secrets.ts';
export { samplesWord } from './words.ts';

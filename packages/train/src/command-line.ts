/** The option tables and words that command lines share with the library. */
export { balanced, type ClassWeights, parseClassWeights } from './class-weights.ts';
export { defaultModel, textFor } from './defaults.ts';
export { imbalanceLines, metricsLines, textQuality } from './metrics-text.ts';
export {
  maxModelFileBytes,
  modelFormatOf,
  optionsAlike,
  readStoredModel,
  type StoredModel,
  textColumnOf,
} from './model.ts';
export { type RunValues, runCommands, runOptions, uploadedData } from './option-table.ts';
export { keptText } from './record/epoch-choice.ts';
export { keptEpochOf } from './record/report.ts';
export { relayCommand } from './relay/relay.ts';
export { isLoopback } from './site/secrets.ts';
export { maxTranscriptBytes } from './transcript/read-transcript.ts';
export { heldOutWord, newSecret, samplesText, tokenUnits } from './words.ts';
export { generateOptions } from './writing.ts';

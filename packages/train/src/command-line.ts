/** The option tables and words that command lines share with the library. */

export { maxTranscriptBytes } from '@lockstep/audit';
export {
  balanced,
  type ClassWeights,
  defaultModel,
  generateOptions,
  maxModelFileBytes,
  modelFormatOf,
  optionsAlike,
  parseClassWeights,
  type RunValues,
  readStoredModel,
  runCommands,
  runOptions,
  type StoredModel,
  textColumnOf,
  textFor,
  uploadedData,
} from '@lockstep/prepare';
export {
  heldOutWord,
  keptEpochOf,
  keptText,
  newSecret,
  samplesText,
  tokenUnits,
} from '@lockstep/record';
export { relayCommand } from '@lockstep/relay';
export { isLoopback } from '@lockstep/server';
export { imbalanceLines, metricsLines, textQuality } from './metrics-text.ts';

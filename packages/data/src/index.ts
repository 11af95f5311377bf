/**
 * Data sets, the order of an epoch, and its samples; runs anywhere (files: `@lockstep/data/node`).
 * @module
 */
export {
  type ArgumentKind,
  argumentKinds,
  checkArguments,
  checkWhole,
  DataError,
  listArgument,
  objectWith,
} from './data-error.ts';
export {
  bytesOfField,
  bytesPerSample,
  type ClassField,
  checkDataset,
  classField,
  classTargets,
  concatDatasets,
  type Dataset,
  type Dtype,
  type Field,
  type FieldRole,
  fieldOf,
  gatherRows,
  gatherSamples,
  gatherValues,
  maxTokens,
  movableSamples,
  moveSamples,
  type NextField,
  nextField,
  nextTargets,
  numbersLike,
  type SampleBatch,
  type SampleField,
  type Samples,
  type SampleValues,
  type Standardization,
  samplesOf,
  scaledField,
  sizeOfField,
  type TargetField,
  type Targets,
  type TargetValues,
  type TokenField,
  takeSamples,
  targetWords,
  tokenField,
  tokenSamples,
  valueField,
  valueTargets,
  weightClasses,
} from './dataset.ts';
export { permutation } from './order.ts';
export { type Augmentation, augmentations, createAugmenter } from './pictures/augment.ts';
export { decodeTokens, encodeText, tokenNames, type Vocabulary, vocabularySize } from './readers/vocabulary.ts';

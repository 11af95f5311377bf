/**
 * Data sets, the order of an epoch, and its samples; runs anywhere (files: `@lockstep/data/node`).
 * @module
 */
export { checkWhole } from './check-whole.ts';
export { concatDatasets } from './concat.ts';
export { DataError } from './data-error.ts';
export {
  bytesPerSample,
  checkDataset,
  type Dataset,
  type SampleValues,
  type Standardization,
  sampleSize,
  type Targets,
  targetSize,
  targetValues,
} from './dataset.ts';
export { gather, gatherRows, gatherTargets, type SampleBatch } from './gather.ts';
export { movableSamples, moveSamples } from './movable-samples.ts';
export { permutation } from './permutation.ts';

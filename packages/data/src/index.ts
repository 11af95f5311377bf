/**
 * Data sets, the order of an epoch, and its samples; runs anywhere (files: `@lockstep/data/node`).
 * @module
 */
export { checkWhole, DataError } from './data-error.ts';
export {
  bytesPerSample,
  checkDataset,
  concatDatasets,
  type Dataset,
  gather,
  gatherRows,
  gatherTargets,
  movableSamples,
  moveSamples,
  type SampleBatch,
  type SampleValues,
  type Standardization,
  sampleSize,
  type Targets,
  targetSize,
  targetValues,
} from './dataset.ts';
export { permutation } from './order.ts';

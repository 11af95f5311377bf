/** Datasets, the order of an epoch, and how batches are cut; runs anywhere (files: `@lockstep/data/node`). */
export {
  type Batch,
  batchAt,
  gather,
  gatherPixels,
  microbatchCount,
  type SampleRange,
  type Samples,
  samplesOfShard,
  stepsPerEpoch,
} from './batches.ts';
export { DataError } from './data-error.ts';
export { type Dataset, joinDataset } from './dataset.ts';
export { type IdxImages, type IdxLabels, parseImages, parseLabels } from './idx.ts';
export { permutation } from './permutation.ts';

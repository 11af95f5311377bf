/** Datasets, the order of an epoch, and batches cut into shards; runs anywhere (files: `@lockstep/data/node`). */
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
export { checkWhole } from './check-whole.ts';
export { DataError } from './data-error.ts';
export { type Dataset, joinDataset } from './dataset.ts';
export { type IdxImages, type IdxLabels, parseImages, parseLabels } from './idx.ts';
export { permutation } from './permutation.ts';

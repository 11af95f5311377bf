/** Datasets, the order of an epoch, and its samples; runs anywhere (files: `@lockstep/data/node`). */

export { checkWhole } from './check-whole.ts';
export { DataError } from './data-error.ts';
export type { Dataset } from './dataset.ts';
export { gather, gatherPixels, type Samples } from './gather.ts';
export { permutation } from './permutation.ts';

/**
 * Readers of the user's own data from bytes or arrays; runs anywhere (from a path: `openDataset` of
 * `@lockstep/data/node`).
 * @module
 */
export type { PictureOptions } from './pictures/choose-form.ts';
export type { PictureDecoder, PictureFit, PictureForm, PictureInfo, PictureSize } from './pictures/decoder.ts';
export { openPageDecoder } from './pictures/page-decoder.ts';
export { readPictures } from './pictures/read-pictures.ts';
export type { PictureFile } from './pictures/tree.ts';
export { datasetFrom, type LabeledArrays, type ValuedArrays } from './readers/dataset-from.ts';
export { parseDelimited } from './readers/delimited.ts';
export { encodeFeatures, type FeatureColumn, featureCount } from './readers/features.ts';
export { type JsonLines, parseJsonLines } from './readers/json-lines.ts';
export { datasetFromJsonLines } from './readers/json-lines-dataset.ts';
export { labelColumn, type Task } from './readers/labels.ts';
export type { OpenedDataset, Reading } from './readers/opened-dataset.ts';
export { parseParquet } from './readers/parquet.ts';
export type { Table } from './readers/table.ts';
export { datasetFromTable, type TableOptions, type TrainedTable } from './readers/table-dataset.ts';
export { type SplitOptions, splitDataset } from './split.ts';

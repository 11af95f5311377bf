/**
 * Readers of the user's own data from bytes or arrays; runs anywhere (from a path: `openDataset` of
 * `@lockstep/data/node`).
 * @module
 */

export { type FoldOptions, foldDataset, type SplitOptions, splitDataset } from './order.ts';
export { datasetFromPictures, openPageDecoder } from './pictures/page-decoder.ts';
export {
  type PictureDecoder,
  type PictureFile,
  type PictureForm,
  type PictureInfo,
  type PictureOptions,
  type PictureSize,
  readPictures,
} from './pictures/read-pictures.ts';
export { datasetFrom, type LabeledArrays, type ValuedArrays } from './readers/dataset-from.ts';
export { parseDelimited } from './readers/delimited.ts';
export {
  encodeFeatures,
  encodeRows,
  type FeatureColumn,
  featureCount,
  labelColumn,
  type TableRow,
  type Task,
} from './readers/features.ts';
export { type JsonLines, parseJsonLines } from './readers/json-lines.ts';
export { parseParquet } from './readers/parquet.ts';
export { type MissingPolicy, missingPolicies } from './readers/survey.ts';
export type { TableFile } from './readers/table.ts';
export {
  datasetFromJsonLines,
  datasetFromTable,
  type OpenedDataset,
  type PictureFit,
  type Reading,
  type TableOptions,
  type TrainedTable,
  tableOf,
} from './readers/table-dataset.ts';
export { encodeRowTexts, encodeTexts, type TextColumn } from './readers/text-column.ts';
export { datasetFromText, type TextOptions, type TextSource } from './readers/text-dataset.ts';
export { decodeTokens, encodeText, type Vocabulary } from './readers/vocabulary.ts';

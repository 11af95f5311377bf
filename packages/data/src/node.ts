/**
 * Data from a path; needs Node.
 * @module
 */
export { loadMnist, type Mnist } from './files.ts';
export { type OpenOptions, openDataset, openRows } from './node/open-dataset.ts';
export { type OpenedRows, readRows } from './node/open-table.ts';
export { openSharpDecoder, type SharpPictureInfo } from './node/sharp-decoder.ts';

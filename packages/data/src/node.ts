/**
 * Data from a path; needs Node.
 * @module
 */
export { openDefaultText } from './node/default-texts.ts';
export { loadMnist, type Mnist } from './node/mnist.ts';
export { type OpenedRows, type OpenOptions, openDataset, openRows, readRows } from './node/open-dataset.ts';
export { openSharpDecoder, type SharpPictureInfo } from './node/sharp-decoder.ts';

/** Block sizes of the matrix products. */

/** Columns of one packed panel of the right operand: two vectors. */
export const panelColumns: i32 = 8;
/** Largest block of the inner dimension, of rows and of columns: two panels fit the first cache, a block the second. */
export const innerBlock: i32 = 392;
export const rowBlock: i32 = 96;
export const columnBlock: i32 = 512;

export const packedLeftBytes: usize = (<usize>innerBlock * rowBlock) << 2;
export const packedRightBytes: usize = (<usize>innerBlock * columnBlock) << 2;
/** One finished tile of an edge, before its valid part is copied out. */
export const tileBytes: usize = 256;
export const packedBytes: usize = packedLeftBytes + packedRightBytes + tileBytes;

/** Longest inner dimension of a compressed product. */
export const compressedInner: i32 = 8192;
/** Four lists of pairs: byte offset of a row of the right operand, and the value that multiplies it. */
export const compressedBytes: usize = (<usize>compressedInner) << 5;

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
/** Sums of tiles that wait for their right neighbour: one for each doubling of the number of segments. */
export const tileStackBytes: usize = 16 * 128;
export const packedBytes: usize = packedLeftBytes + packedRightBytes + tileBytes + tileStackBytes;

/** Rows of a compressed product that are made together: what one line of the cache holds of a transposed left operand. */
export const compressedLanes: i32 = 16;
/** Columns of a compressed product that are made together. */
export const compressedColumns: i32 = 512;
/** Longest lists that are made at once. */
export const compressedInner: i32 = 1024;

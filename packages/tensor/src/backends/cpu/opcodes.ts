/** Encoding of map programs, used by map-descriptor.ts as TypeScript and by kernels/map.ts as AssemblyScript. */

/** Floats in a chunk: few enough that the operands of an instruction stay in the L1 cache. */
export const chunkLength = 512;

// One code per primitive of formula.ts, under its name, and three that shorten programs. The numbers decide which loops
// of kernels/map.ts the optimizer merges: compare the size of the module before and after changing one.
export const copy = 0;
export const neg = 1;
export const exp = 2;
export const log = 3;
export const add = 4;
export const sub = 5;
export const mul = 6;
export const div = 7;
export const maximum = 8;
export const greaterEqual = 9;
export const equal = 10;
export const where = 11;
export const abs = 12;
export const sqrt = 13;
export const tanh = 14;
export const sigmoid = 15;
export const softplus = 16;
export const normalCdf = 17;
export const pow = 18;
export const minimum = 19;
export const greater = 20;
/** `x + y * z`, product and sum each rounded. */
export const addProduct = 21;
/** `x - y * z`, product and difference each rounded. */
export const subProduct = 22;
/**
 * A step with momentum in one loop: `sum = x * a + y * b`, then `difference = z - c * sum`, with scalars a, b and c. It
 * replaces the code of the first instruction, a `mul`; the `addProduct` and the `subProduct` follow unchanged.
 */
export const momentumStep = 23;

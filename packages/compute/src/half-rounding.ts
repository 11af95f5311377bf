/**
 * Rounds every node of the reduction tree, microbatches included, to half precision. Any shard's sum then travels
 * losslessly in two bytes per value, so a run has the same bits however its steps are cut into shards.
 */
import {
  additionCall,
  apply,
  type Backend,
  type Formula,
  input,
  type MapCall,
  type Storage,
  sliceSum,
  type VectorSum,
} from '@lockstep/tensor';

/** Unrounded values after the gradient in a vector [parameters + 2]: loss sum and number of correct answers. */
const figures = 2;

/** Returns the calls that write a sum of nodes to `output`, even one of its vectors; rounded if there is a `unit`. */
export function sumCalls(backend: Backend, sum: VectorSum, output: Storage, unit: number | undefined): MapCall[] {
  if (unit === undefined) return [additionCall(sum, output)];
  const size = output.length - figures;
  const gradient = backend.slice(output, 0, size);
  const rest = backend.slice(output, size, figures);
  return [
    additionCall(sliceSum(backend, sum, 0, size), gradient, (value) => halfFormula(value, unit)),
    additionCall(sliceSum(backend, sum, size, figures), rest),
  ];
}

/** Returns the call that rounds a microbatch's sum in place. */
export function microbatchCall(backend: Backend, vector: Storage, unit: number): MapCall {
  const output = backend.slice(vector, 0, vector.length - figures);
  const inputs = [{ storage: output, strides: [1] }];
  return { kind: 'map', formula: halfFormula(input(0), unit), shape: [output.length], inputs, output };
}

/** The largest finite half. Larger values are clamped to it, so that no sum of a tree overflows. */
const largestHalf = 65_504;
/** In float32, `c * x` with `c = 2^13 + 1` splits x so that its upper part has 11 bits, as many as a half. */
const splitter = 2 ** 13 + 1;

/**
 * Rounds x to the nearest half times `unit`, a power of two: ties to even, zero unsigned, clamped to 65,504 units. NaN
 * if 8,193 x is not finite in float32, that is above 4e34.
 * Veltkamp's splitting gives the upper 11 bits h of x, but does not resolve ties to even. Adding and subtracting 2^13
 * h, whose last bit has the weight of the half's last bit, leaves the choice to the float adder. Below the normal
 * halves, 0.5 units replace 2^13 h: the last bit of a number from 0.5 to 1 weighs 2^-24.
 * Dekker, "A floating-point technique for extending the available precision", 1971; Boldo, "Pitfalls of a full
 * floating-point proof: example on the formal proof of the Veltkamp/Dekker algorithms", 2006.
 */
export function halfFormula(x: Formula, unit: number): Formula {
  const size = apply('abs', x);
  const product = apply('mul', size, splitter);
  const upper = apply('sub', product, apply('sub', product, size));
  const anchor = apply('maximum', apply('mul', upper, 2 ** 13), 0.5 * unit);
  const nearest = apply('sub', apply('add', size, anchor), anchor);
  const bounded = apply('minimum', nearest, largestHalf * unit);
  return apply('where', apply('greaterEqual', x, 0), bounded, apply('sub', 0, bounded));
}

/** Rounds each value as `halfFormula` does, in place. */
export function roundToHalves(values: Float32Array, unit: number): void {
  for (let index = 0; index < values.length; index++) values[index] = nearestHalf(values[index]!, unit);
}

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/** Exponent of a float32, read from its bits because engines round logarithms. */
function exponentOf(size: number): number {
  scratch[0] = size;
  return (scratchBits[0]! >>> 23) - 127;
}

function nearestHalf(value: number, unit: number): number {
  const size = Math.abs(value);
  if (!Number.isFinite(Math.fround(splitter * size))) return Number.NaN;
  const exponent = Math.max(-14, exponentOf(size / unit));
  // Adding the anchor in float64 rounds to a multiple of the half's last bit, ties to even.
  const anchor = 1.5 * 2 ** (52 + exponent - 10) * unit;
  const bounded = Math.min(size + anchor - anchor, largestHalf * unit);
  return value >= 0 ? bounded : 0 - bounded;
}

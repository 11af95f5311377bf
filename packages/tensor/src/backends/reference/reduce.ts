/** Reductions over the middle axis, in the orders given in backend.ts. */
import type { ReduceCall } from '../../backend.ts';
import type { Placed } from '../operands.ts';
import { additionsAfter } from '../pairwise-sum.ts';

const { fround } = Math;

/** Number of interleaved chains in the sum over a contiguous axis. */
const chains = 16;

function sumContiguous(values: Float32Array, start: number, length: number): number {
  const sums = new Float32Array(chains);
  for (let index = 0; index < length; index++) sums[index % chains]! += values[start + index]!;
  for (let half = chains / 2; half >= 1; half /= 2) {
    for (let chain = 0; chain < half; chain++) sums[chain]! += sums[chain + half]!;
  }
  return sums[0]!;
}

function sumStrided(values: Float32Array, start: number, length: number, stride: number): number {
  let total = 0;
  for (let index = 0; index < length; index++) total = fround(total + values[start + index * stride]!);
  return total;
}

/** Sums of more terms are split into runs of `runLength`. */
const longestRun = 65_536;
const runLength = 128;

function sum(values: Float32Array, start: number, length: number, stride: number): number {
  const sumRun = stride === 1 ? sumContiguous : sumStrided;
  if (length <= longestRun) return sumRun(values, start, length, stride);
  const runs = Math.ceil(length / runLength);
  const stack: number[] = [];
  for (let run = 0; run < runs; run++) {
    const first = run * runLength;
    stack.push(sumRun(values, start + first * stride, Math.min(runLength, length - first), stride));
    for (let additions = additionsAfter(run, runs); additions > 0; additions--) {
      const right = stack.pop()!;
      stack.push(fround(stack.pop()! + right));
    }
  }
  return stack[0]!;
}

function indexOfLargest(values: Float32Array, start: number, length: number, stride: number): number {
  let best = 0;
  let largest = values[start]!;
  for (let index = 1; index < length && !Number.isNaN(largest); index++) {
    const value = values[start + index * stride]!;
    if (value > largest || Number.isNaN(value)) [best, largest] = [index, value];
  }
  return best;
}

function extreme(choose: (left: number, right: number) => number): Reducer {
  return (values, start, length, stride) => {
    let value = values[start]!;
    for (let index = 1; index < length; index++) value = choose(value, values[start + index * stride]!);
    return value;
  };
}

type Reducer = (values: Float32Array, start: number, length: number, stride: number) => number;

const reducers = { sum, argmax: indexOfLargest, max: extreme(Math.max), min: extreme(Math.min) };

export function reduce(call: Placed<ReduceCall, Float32Array>): void {
  const { reduction, outer, length, inner, input, output } = call;
  const reducer = reducers[reduction];
  for (let row = 0; row < outer; row++) {
    for (let column = 0; column < inner; column++) {
      output[row * inner + column] = reducer(input, row * length * inner + column, length, inner);
    }
  }
}

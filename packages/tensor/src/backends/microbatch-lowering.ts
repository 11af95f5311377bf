/** Sums per microbatch as calls without microbatches: what a backend runs that has no kernel for them. */
import type { KernelCall, Storage } from '../backend.ts';
import { apply, input } from '../formula.ts';
import { imageSize, windowCount } from '../windows.ts';
import { additionsAfter } from './pairwise-sum.ts';

/** What lowering takes from a backend. */
export interface LoweringMemory {
  slice(storage: Storage, offset: number, length: number): Storage;
  /** `length` values that live as long as the calls may run. */
  scratch(length: number): Storage;
}

/** The call itself where it has at most one microbatch; else one call per microbatch, and additions of their sums. */
export function lowerMicrobatches(call: KernelCall, memory: LoweringMemory): readonly KernelCall[] {
  const parts = partsOf(call, memory);
  if (parts === undefined) return [call];
  const { count, output, part } = parts;
  const calls: KernelCall[] = [];
  // The stack of pairwise-sum.ts; its lowest value is in the output.
  const stack: Storage[] = [output];
  let height = 0;
  for (let index = 0; index < count; index++) {
    if (height === stack.length) stack.push(memory.scratch(output.length));
    calls.push(part(index, stack[height]!));
    height++;
    for (let additions = additionsAfter(index, count); additions > 0; additions--) {
      height--;
      calls.push(addCall(stack[height - 1]!, stack[height]!));
    }
  }
  return calls;
}

interface Parts {
  readonly count: number;
  /** As long as the call's result. */
  readonly output: Storage;
  /** The sum of microbatch `index` alone, left in `target`. */
  part(index: number, target: Storage): KernelCall;
}

function partsOf(call: KernelCall, { slice }: LoweringMemory): Parts | undefined {
  if (!('microbatches' in call) || call.microbatches === undefined || call.microbatches === 1) return undefined;
  const { microbatches: count, ...rest } = call;
  const nth = (storage: Storage, length: number, index: number): Storage => slice(storage, index * length, length);
  switch (rest.kind) {
    case 'reduce': {
      const { inner } = rest;
      const length = rest.length / count;
      return {
        count,
        output: slice(rest.output, 0, inner),
        part: (index, output) => ({ ...rest, length, input: nth(rest.input, length * inner, index), output }),
      };
    }
    case 'matmul': {
      const { m, n, left, right } = rest;
      const k = rest.k / count;
      return {
        count,
        output: slice(rest.output, 0, m * n),
        part: (index, output) => ({
          ...rest,
          k,
          left: nth(left, k * m, index),
          right: nth(right, k * n, index),
          output,
        }),
      };
    }
    case 'convolution': {
      const { filters, left, right } = rest;
      const windows = { ...rest.windows, images: rest.windows.images / count };
      const [leftLength, rightLength] = [imageSize(windows), windowCount(windows) * filters];
      return {
        count,
        output: slice(rest.output, 0, windows.windowHeight * windows.windowWidth * windows.channels * filters),
        part: (index, output) => ({
          ...rest,
          windows,
          left: nth(left, leftLength, index),
          right: nth(right, rightLength, index),
          output,
        }),
      };
    }
    default:
      return rest satisfies never;
  }
}

/** `sum += term`. */
function addCall(sum: Storage, term: Storage): KernelCall {
  const view = (storage: Storage) => ({ storage, strides: [1] });
  const formula = apply('add', input(0), input(1));
  return { kind: 'map', formula, shape: [sum.length], inputs: [view(sum), view(term)], output: sum };
}

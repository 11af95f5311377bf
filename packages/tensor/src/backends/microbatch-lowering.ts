/** Lowers sums per microbatch to calls without microbatches, for backends that have no kernel for them. */
import type { KernelCall, Storage } from '../backend.ts';
import { apply, input } from '../formula.ts';
import { lengthsOf, placed } from './operands.ts';
import { additionsAfter } from './pairwise-sum.ts';

/**
 * Returns the call itself if it has at most one microbatch; else one call per microbatch, and additions of their sums.
 * `scratch` allocates `length` values that live as long as the calls may run.
 */
export function lowerMicrobatches(
  call: KernelCall,
  slice: (storage: Storage, offset: number, length: number) => Storage,
  scratch: (length: number) => Storage,
): readonly KernelCall[] {
  if (!('microbatches' in call) || call.microbatches === undefined || call.microbatches === 1) return [call];
  const { microbatches: count, ...whole } = call;
  const part = partOf(whole, count);
  const output = slice(whole.output, 0, lengthsOf(part).output!);
  const calls: KernelCall[] = [];
  // The stack of pairwise-sum.ts; its lowest value is the output.
  const stack: Storage[] = [output];
  let height = 0;
  for (let index = 0; index < count; index++) {
    if (height === stack.length) stack.push(scratch(output.length));
    const target = stack[height]!;
    const placeOf = (storage: Storage, length: number, _: number, role: string): Storage =>
      role === 'output' ? target : slice(storage, index * length, length);
    calls.push(placed(part, placeOf) as typeof part);
    height++;
    for (let additions = additionsAfter(index, count); additions > 0; additions--) {
      height--;
      calls.push(addCall(stack[height - 1]!, stack[height]!));
    }
  }
  return calls;
}

type Sum = Extract<KernelCall, { readonly microbatches?: number }>;

/** Returns the call for one of `count` microbatches, on the storages of the whole call. */
function partOf(call: Sum, count: number): Sum {
  switch (call.kind) {
    case 'reduce':
      return { ...call, length: call.length / count };
    case 'matmul':
      return { ...call, k: call.k / count };
    case 'convolution':
      return { ...call, windows: { ...call.windows, images: call.windows.images / count } };
    default:
      return call satisfies never;
  }
}

/** `sum += term`. */
function addCall(sum: Storage, term: Storage): KernelCall {
  const view = (storage: Storage) => ({ storage, strides: [1] });
  const formula = apply('add', input(0), input(1));
  return { kind: 'map', formula, shape: [sum.length], inputs: [view(sum), view(term)], output: sum };
}

/** Sums in segments as calls without segments: their definition, and what a backend runs that has no shorter way. */
import type { KernelCall, Storage } from '../backend.ts';
import { apply, input } from '../formula.ts';

/** What cutting a call takes from a backend. */
export interface SegmentMemory {
  slice(storage: Storage, offset: number, length: number): Storage;
  /** Room for `length` values as long as the calls may run. */
  scratch(length: number): Storage;
}

/** The call itself where it has one segment or none; else its segments one by one, and their sums added as soon as both of a pair are there. */
export function inSegments(call: KernelCall, memory: SegmentMemory): readonly KernelCall[] {
  const cut = cutOf(call, memory);
  if (cut === undefined) return [call];
  const { segments, output, segment } = cut;
  const calls: KernelCall[] = [];
  // The sums that wait for their right neighbor, from the left; the first of them is kept in the output.
  const slots: Storage[] = [output];
  let waiting = 0;
  const addLast = (): void => {
    waiting -= 1;
    calls.push(addCall(slots[waiting - 1]!, slots[waiting]!));
  };
  for (let index = 0; index < segments; index++) {
    if (waiting === slots.length) slots.push(memory.scratch(output.length));
    calls.push(segment(index, slots[waiting]!));
    waiting += 1;
    for (let pairs = index + 1; pairs % 2 === 0; pairs /= 2) addLast();
  }
  while (waiting > 1) addLast();
  return calls;
}

interface Cut {
  readonly segments: number;
  /** As long as the call's result. */
  readonly output: Storage;
  /** The sum of segment `index` alone, left in `target`. */
  segment(index: number, target: Storage): KernelCall;
}

function cutOf(call: KernelCall, { slice }: SegmentMemory): Cut | undefined {
  if (!('microbatches' in call) || call.microbatches === undefined || call.microbatches === 1) return undefined;
  const { microbatches: count, ...rest } = call;
  const part = (storage: Storage, length: number, index: number): Storage => slice(storage, index * length, length);
  switch (rest.kind) {
    case 'reduce': {
      const length = rest.length / count;
      return {
        segments: count,
        output: slice(rest.output, 0, rest.inner),
        segment: (index, output) => ({ ...rest, length, input: part(rest.input, length * rest.inner, index), output }),
      };
    }
    case 'matmul': {
      const { m, n } = rest;
      const k = rest.k / count;
      return {
        segments: count,
        output: slice(rest.output, 0, m * n),
        segment: (index, output) => {
          return { ...rest, k, left: part(rest.left, k * m, index), right: part(rest.right, k * n, index), output };
        },
      };
    }
    case 'convolution': {
      const { windows, filters } = rest;
      const images = windows.images / count;
      const { windowHeight, windowWidth, channels, outputHeight, outputWidth } = windows;
      const leftLength = images * windows.height * windows.width * channels;
      const rightLength = images * outputHeight * outputWidth * filters;
      return {
        segments: count,
        output: slice(rest.output, 0, windowHeight * windowWidth * channels * filters),
        segment: (index, output) => ({
          ...rest,
          windows: { ...windows, images },
          left: part(rest.left, leftLength, index),
          right: part(rest.right, rightLength, index),
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

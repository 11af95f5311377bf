/** Makes calls ready as functions that call their kernel with addresses worked out beforehand. */
import type { GatherCall, KernelCall, MatmulCall, ScatterAddCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import type { ByKind, Placed } from '../operands.ts';
import type { Descriptor } from './descriptor.ts';
import { mapDescriptor } from './map-descriptor.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';
import { convolutionDescriptor, poolDescriptor } from './window-descriptors.ts';

const bytesPerValue = 4;
/** The longest k whose microbatches the kernel sums: for a longer one it has no room for the packed operands. */
const longestMicrobatchSum = 8192;

export interface CallContext {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** Address of a block that is kept as long as the call may run. */
  reserve(bytes: number): number;
}

/** Whether the kernel itself sums per microbatch, without a pass over the output for each of them. */
export function takesMicrobatches(call: KernelCall): boolean {
  return call.kind === 'matmul' && call.k <= longestMicrobatchSum;
}

/** For each kind a function that runs the call, on addresses in bytes; it allocates nothing. */
export const preparers: ByKind<number, [context: CallContext], () => void> = {
  map: (call, context) => described('map', mapDescriptor(call), context),
  reduce({ reduction, outer, length, inner, input, output }, { kernels }) {
    return () => kernels[reduction](outer, length, inner, input, output);
  },
  matmul: prepareMatmul,
  crossEntropy({ rows, classes, logits, labels, losses, ...call }, { kernels, reserve }) {
    const rowBytes = classes * bytesPerValue;
    // Without a gradient to keep, every row is worked out in the same place.
    const [gradient, step] = call.gradient === undefined ? [reserve(rowBytes), 0] : [call.gradient, rowBytes];
    return () => kernels.crossEntropy(rows, classes, logits, labels, losses, gradient, step);
  },
  convolution: (call, context) => described('convolution', convolutionDescriptor(call), context),
  pool: (call, context) => described('pool', poolDescriptor(call), context),
  unpool: (call, context) => described('unpool', poolDescriptor(call), context),
  gather: prepareGather,
  scatterAdd: prepareGather,
  random({ rows, columns, stream, key, samples, output }, { kernels }) {
    return () => kernels.random(rows, columns, stream, key, samples, output);
  },
};

type DescribedKernel = 'map' | 'convolution' | 'pool' | 'unpool';

function described(name: DescribedKernel, { bytes, write }: Descriptor, context: CallContext): () => void {
  const address = context.reserve(bytes);
  write(context.memory.buffer, address);
  const run = context.kernels[name];
  return () => run(address);
}

function prepareMatmul(call: Placed<MatmulCall, number>, { kernels }: CallContext): () => void {
  const { m, k, n, left, right, output, bias = 0, microbatches = 1 } = call;
  const [transposeLeft, transposeRight] = [Number(call.transposeLeft), Number(call.transposeRight)];
  const relu = Number(call.epilogue?.relu ?? false);
  const runs = batchOffsets(call).map((at) => {
    const [a, b] = [left + bytesPerValue * at.left, right + bytesPerValue * at.right];
    const c = output + bytesPerValue * at.output;
    return () => kernels.matmul(m, k, n, a, b, transposeLeft, transposeRight, microbatches, c, bias, relu);
  });
  if (runs.length === 1) return runs[0]!;
  return () => {
    for (let index = 0; index < runs.length; index++) runs[index]!();
  };
}

function prepareGather(call: Placed<GatherCall | ScatterAddCall, number>, { kernels }: CallContext): () => void {
  const { kind, outer, length, inner, count, input, indices, output } = call;
  const ownIndices = Number(call.ownIndices);
  return () => kernels[kind](outer, length, inner, count, ownIndices, input, indices, output);
}

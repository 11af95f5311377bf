/** Makes calls ready as functions that call their kernel with addresses worked out beforehand. */
import type { ConvolutionCall, KernelCall, MatmulCall, Storage } from '../../backend.ts';
import { sizeOf } from '../../shape.ts';
import { batchOffsets } from '../batches.ts';
import { type ByKind, dispatch } from '../by-kind.ts';
import { mapDescriptor } from './map-descriptor.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';
import { convolutionDescriptor, poolDescriptor } from './window-descriptors.ts';

const bytesPerValue = 4;
/** The longest k whose microbatches the kernel sums: for a longer one it has no room for the packed operands. */
const longestMicrobatchSum = 8192;

export interface CallContext {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** In bytes. */
  addressOf(storage: Storage): number;
  /** Address of a block that is kept as long as the call may run. */
  reserve(bytes: number): number;
}

/** The parameters of a kernel in memory, with the room that it works in behind them. */
export interface Descriptor {
  readonly bytes: number;
  /** Writes it at `address`, which must be a multiple of 16 and have room for `bytes`. */
  write(buffer: ArrayBuffer, address: number): void;
}

/** Addresses of a product's storages; 0 where there is no bias. */
export interface ProductAddresses {
  readonly left: number;
  readonly right: number;
  readonly output: number;
  readonly bias: number;
}

/** Whether the kernel itself sums per microbatch, without a pass over the output for each of them. */
export function takesMicrobatches(call: KernelCall): boolean {
  return call.kind === 'matmul' && call.k <= longestMicrobatchSum;
}

const preparers: ByKind<[context: CallContext], () => void> = {
  map(call, context) {
    if (sizeOf(call.shape) === 0) return () => {};
    const inputs = call.inputs.map((view) => context.addressOf(view.storage));
    return described('map', mapDescriptor(call, inputs, context.addressOf(call.output)), context);
  },
  reduce({ reduction, outer, length, inner, ...call }, { kernels, addressOf }) {
    const [input, output] = [addressOf(call.input), addressOf(call.output)];
    return () => kernels[reduction](outer, length, inner, input, output);
  },
  matmul: prepareMatmul,
  crossEntropy({ rows, classes, ...call }, { kernels, addressOf, reserve }) {
    const [logits, labels, losses] = [addressOf(call.logits), addressOf(call.labels), addressOf(call.losses)];
    const rowBytes = classes * bytesPerValue;
    // Without a gradient to keep, every row is worked out in the same place.
    const [gradient, step] = call.gradient ? [addressOf(call.gradient), rowBytes] : [reserve(rowBytes), 0];
    return () => kernels.crossEntropy(rows, classes, logits, labels, losses, gradient, step);
  },
  convolution: (call, context) =>
    described('convolution', convolutionDescriptor(call, productAddresses(call, context)), context),
  pool: (call, context) => described('pool', poolDescriptor(call, context.addressOf), context),
  unpool: (call, context) => described('unpool', poolDescriptor(call, context.addressOf), context),
  gather: prepareGather,
  scatterAdd: prepareGather,
  random({ rows, columns, stream, ...call }, { kernels, addressOf }) {
    const [key, samples, output] = [addressOf(call.key), addressOf(call.samples), addressOf(call.output)];
    return () => kernels.random(rows, columns, stream, key, samples, output);
  },
};

/** A function that runs the call; it allocates nothing. */
export function prepareCall(call: KernelCall, context: CallContext): () => void {
  return dispatch(preparers, call, context);
}

function described(
  name: 'map' | 'convolution' | 'pool' | 'unpool',
  { bytes, write }: Descriptor,
  { kernels, memory, reserve }: CallContext,
): () => void {
  const address = reserve(bytes);
  write(memory.buffer, address);
  const run = kernels[name];
  return () => run(address);
}

function productAddresses(
  { left, right, output, epilogue }: MatmulCall | ConvolutionCall,
  { addressOf }: CallContext,
): ProductAddresses {
  return {
    left: addressOf(left),
    right: addressOf(right),
    output: addressOf(output),
    bias: epilogue?.bias === undefined ? 0 : addressOf(epilogue.bias),
  };
}

function prepareMatmul(call: MatmulCall, context: CallContext): () => void {
  const { kernels } = context;
  const { m, k, n, microbatches = 1 } = call;
  const { left, right, output, bias } = productAddresses(call, context);
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

function prepareGather(
  { kind, outer, length, inner, count, ...call }: Extract<KernelCall, { kind: 'gather' | 'scatterAdd' }>,
  { kernels, addressOf }: CallContext,
): () => void {
  const ownIndices = Number(call.ownIndices);
  const [input, indices, output] = [addressOf(call.input), addressOf(call.indices), addressOf(call.output)];
  return () => kernels[kind](outer, length, inner, count, ownIndices, input, indices, output);
}

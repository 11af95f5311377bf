/** Prepares calls once, as programs that run on all threads. */

import type { GatherCall, KernelCall, MatmulCall, Reduction, ScatterAddCall } from '../../backend.ts';
import type { Program } from '../../program.ts';
import { type ByKind, batchOffsets, dispatch, type Placed, type PlacedMap } from '../operands.ts';
import * as codes from './call-codes.ts';
import { convolutionDescriptor, type Descriptor, fusedMaps, mapDescriptor, poolDescriptor } from './descriptors.ts';
import type { Allocator, Kernels, WasmMemory } from './memory.ts';
import type { Placement } from './threads.ts';

const wordBytes = Uint32Array.BYTES_PER_ELEMENT;
/** Size of a call that runs another program. */
const callBytes = 3 * wordBytes;

export type CpuProgram = Program & Placement;

/** Memory that holds programs, and the kernels that run them. */
export interface ProgramMemory {
  readonly kernels: Pick<Kernels, 'execute'>;
  readonly memory: WasmMemory;
  readonly allocator: Allocator;
}

/** Writes a program to the caller's block, which has room for `words.length` words. */
export function placeProgram(
  { kernels, memory }: Omit<ProgramMemory, 'allocator'>,
  words: readonly number[],
  address: number,
): Placement & Pick<Program, 'run'> {
  new Uint32Array(memory.buffer, address, words.length).set(words);
  const end = address + words.length * wordBytes;
  return { address, end, run: () => kernels.execute(address, end) };
}

/** Writes a program to a newly allocated block. */
export function createProgram(context: ProgramMemory, words: readonly number[]): CpuProgram {
  const address = context.allocator.allocate(words.length * wordBytes);
  return { ...placeProgram(context, words, address), dispose: () => context.allocator.release(address) };
}

/** Programs that one thread runs in order; rewritten whenever they change. */
export class ProgramList {
  readonly #context: Omit<ProgramMemory, 'kernels'>;
  #address = 0;
  #capacity = 0;
  #placed: readonly Placement[] = [];

  constructor(context: Omit<ProgramMemory, 'kernels'>) {
    this.#context = context;
  }

  /** Returns the range of one program that runs them all; valid until the next call. */
  place(programs: readonly Placement[]): Placement {
    if (programs.length === 1) return programs[0]!;
    if (!this.#isPlaced(programs)) this.#write(programs);
    return { address: this.#address, end: this.#address + programs.length * callBytes };
  }

  /** Whether the list holds these programs already, as in most steps of a run. */
  #isPlaced(programs: readonly Placement[]): boolean {
    const placed = this.#placed;
    if (placed.length !== programs.length) return false;
    for (let index = 0; index < programs.length; index++) {
      const [one, other] = [placed[index]!, programs[index]!];
      if (one.address !== other.address || one.end !== other.end) return false;
    }
    return true;
  }

  #write(programs: readonly Placement[]): void {
    this.#placed = programs;
    const words = programs.flatMap(({ address, end }) => [codes.program, address, end]);
    if (words.length > this.#capacity) {
      const { allocator } = this.#context;
      if (this.#capacity > 0) allocator.release(this.#address);
      this.#capacity = 2 * words.length;
      this.#address = allocator.allocate(this.#capacity * wordBytes);
    }
    new Uint32Array(this.#context.memory.buffer, this.#address, words.length).set(words);
  }
}

const codeOf: Readonly<Record<Reduction | 'gather' | 'scatterAdd', number>> = codes;
const bytesPerValue = 4;
/**
 * Longest k for which the kernel sums microbatches: the packed operands of a longer one do not fit in its workspace.
 */
const longestMicrobatchSum = 8192;

interface CallContext {
  readonly memory: WasmMemory;
  /** Reserves a block that is kept as long as the call may run; returns its address. */
  reserve(bytes: number): number;
  /** Address of the byte operand of the `length` values at `values`, or 0 if there is none. */
  byteOperand(values: number, length: number): number;
}

/** Whether the kernel itself sums per microbatch, without a pass over the output for each microbatch. */
export function takesMicrobatches(call: KernelCall): boolean {
  return call.kind === 'matmul' && call.k <= longestMicrobatchSum;
}

/** Encodes calls on byte addresses as one program; consecutive maps over the same elements become one pass. */
export function programWords(calls: readonly Placed<KernelCall, number>[], context: CallContext): number[] {
  const words: number[] = [];
  for (let at = 0; at < calls.length; ) {
    const maps = fusedMaps(calls, at);
    if (maps.length > 1) words.push(...mapWords(maps, context));
    else words.push(...dispatch(writers, calls[at]!, context));
    at += Math.max(1, maps.length);
  }
  return words;
}

const writers: ByKind<number, [context: CallContext], number[]> = {
  map: (call, context) => mapWords([call], context),
  reduce: ({ reduction, outer, length, inner, input, output }) => [
    codeOf[reduction],
    outer,
    length,
    inner,
    input,
    output,
  ],
  matmul: matmulWords,
  crossEntropy({ rows, classes, logits, labels, losses, ...call }, { reserve }) {
    const rowBytes = classes * bytesPerValue;
    // If the gradient is not kept, all rows share one scratch row.
    const [gradient, step] = call.gradient === undefined ? [reserve(rowBytes), 0] : [call.gradient, rowBytes];
    return [codes.crossEntropy, rows, classes, logits, labels, losses, gradient, step];
  },
  convolution: (call, context) => [codes.convolution, placeDescriptor(convolutionDescriptor(call), context)],
  pool: (call, context) => [codes.pool, placeDescriptor(poolDescriptor(call), context)],
  unpool: (call, context) => [codes.unpool, placeDescriptor(poolDescriptor(call), context)],
  gather: gatherWords,
  scatterAdd: gatherWords,
  random: ({ rows, columns, stream, key, samples, output }) => [
    codes.random,
    rows,
    columns,
    stream,
    key,
    samples,
    output,
  ],
};

function mapWords(maps: readonly PlacedMap<number>[], context: CallContext): number[] {
  return [codes.map, placeDescriptor(mapDescriptor(maps), context)];
}

function placeDescriptor({ bytes, write }: Descriptor, context: CallContext): number {
  const address = context.reserve(bytes);
  write(context.memory.buffer, address);
  return address;
}

function matmulWords(call: Placed<MatmulCall, number>, { byteOperand }: CallContext): number[] {
  const { m, k, n, left, right, output, bias = 0, microbatches = 1 } = call;
  const transposed = [Number(call.transposeLeft), Number(call.transposeRight)];
  const relu = Number(call.epilogue?.relu ?? false);
  const operand = call.batch === undefined ? byteOperand(left, m * k) : 0;
  return batchOffsets(call).flatMap((at) => {
    const [a, b, c] = [
      left + bytesPerValue * at.left,
      right + bytesPerValue * at.right,
      output + bytesPerValue * at.output,
    ];
    return [codes.matmul, m, k, n, a, b, ...transposed, microbatches, c, bias, relu, operand];
  });
}

function gatherWords(call: Placed<GatherCall | ScatterAddCall, number>): number[] {
  const { kind, outer, length, inner, count, input, indices, output } = call;
  return [codeOf[kind], outer, length, inner, count, Number(call.ownIndices), input, indices, output];
}

/** Prepares calls once, as programs of words that the kernels run on all threads. */
import type { ConvolutionCall, KernelCall, MatmulCall, PoolCall, Program, UnpoolCall } from '../../backend.ts';
import { chunkLength, instructionCodes as codes, type Formula, topological } from '../../formula.ts';
import { type Shape, sameShape, sizeOf, type Windows } from '../../shape.ts';
import { type ByKind, dispatch, joinAxes, operandsOf, type Placed, type PlacedMap } from '../calls.ts';
import type { Allocator, Kernels, WasmMemory } from './memory.ts';
import type { Placement } from './threads.ts';

export const wordBytes = Uint32Array.BYTES_PER_ELEMENT;
export const bytesPerValue = Float32Array.BYTES_PER_ELEMENT;
/** Size of a call that runs another program. */
const callBytes = 3 * wordBytes;

const reduction = ['outer', 'length', 'inner', 'input', 'output'] as const;
const indexing = ['outer', 'length', 'inner', 'count', 'ownIndices', 'input', 'indices', 'output'] as const;

/**
 * The kernels that programs call, and their parameters. A call is its code, the position here, then one 32-bit word for
 * each parameter. The kernels' build makes the loop that reads programs of this table (scripts/build-kernels.mjs).
 */
export const kernelCalls = {
  /** Runs another program. */
  program: ['address', 'end'],
  map: ['descriptor'],
  sum: ['outer', 'length', 'inner', 'input', 'factor', 'output'],
  argmax: reduction,
  max: reduction,
  min: reduction,
  matmul: [
    ...['m', 'k', 'n', 'left', 'right', 'leftRowBytes', 'leftInnerBytes', 'rightInnerBytes', 'rightColumnBytes'],
    ...['microbatches', 'output', 'bias', 'relu', 'byteOperand', 'batch'],
  ],
  crossEntropy: ['rows', 'classes', 'logits', 'labels', 'losses', 'gradient', 'gradientRowBytes'],
  convolution: ['descriptor'],
  pool: ['descriptor'],
  unpool: ['descriptor'],
  gather: indexing,
  scatterAdd: indexing,
  random: ['rows', 'columns', 'stream', 'key', 'samples', 'output'],
  softmax: ['rows', 'columns', 'temperature', 'period', 'input', 'output'],
  softmaxGradient: ['rows', 'columns', 'temperature', 'period', 'gradient', 'probabilities', 'output'],
  layerNorm: ['rows', 'columns', 'epsilon', 'input', 'output', 'inverseDeviations'],
  layerNormGradient: ['rows', 'columns', 'gradient', 'normalized', 'inverseDeviations', 'output'],
  bytesToFloats: ['bytes', 'output', 'count', 'divisor'],
  /** Converts rows of a table. */
  rowsToFloats: ['table', 'columns', 'numbers', 'count', 'output', 'divisor'],
  /** Copies rows of a table as bytes. */
  rowsToBytes: ['table', 'columns', 'numbers', 'count', 'output'],
  /** Stores the largest absolute value. */
  magnitude: ['input', 'count', 'output'],
} as const satisfies Record<string, readonly string[]>;

/** Types of the parameters that are not whole numbers. */
export const parameterTypes: Readonly<Record<string, 'flag' | 'float' | undefined>> = {
  relu: 'flag',
  ownIndices: 'flag',
  divisor: 'float',
  temperature: 'float',
  epsilon: 'float',
};

type Kernel = keyof typeof kernelCalls;
const kernelNames = Object.keys(kernelCalls) as readonly Kernel[];

/** Returns the words of a call; `values` may have more fields than the kernel's parameters. */
export function callWords<Name extends Kernel>(
  kernel: Name,
  values: { readonly [Parameter in (typeof kernelCalls)[Name][number]]: number | boolean },
): number[] {
  const byName: Readonly<Record<string, number | boolean>> = values;
  const words = kernelCalls[kernel].map((name) => {
    const value = Number(byName[name]);
    return parameterTypes[name] === 'float' ? new Uint32Array(Float32Array.of(value).buffer)[0]! : value;
  });
  return [kernelNames.indexOf(kernel), ...words];
}

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
    const words = programs.flatMap(({ address, end }) => callWords('program', { address, end }));
    if (words.length > this.#capacity) {
      const { allocator } = this.#context;
      if (this.#capacity > 0) allocator.release(this.#address);
      this.#capacity = 2 * words.length;
      this.#address = allocator.allocate(this.#capacity * wordBytes);
    }
    new Uint32Array(this.#context.memory.buffer, this.#address, words.length).set(words);
  }
}

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
export function hasMicrobatchSums(call: KernelCall): boolean {
  return call.kind === 'matmul' && !call.stacked && call.k <= longestMicrobatchSum;
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
  reduce: (call) => callWords(call.reduction, { ...call, factor: call.factor ?? 0 }),
  matmul: matmulWords,
  crossEntropy(call, { reserve }) {
    const rowBytes = call.classes * bytesPerValue;
    // If the gradient is not kept, all rows share one scratch row.
    const gradient = call.gradient ?? reserve(rowBytes);
    return callWords('crossEntropy', {
      ...call,
      gradient,
      gradientRowBytes: call.gradient === undefined ? 0 : rowBytes,
    });
  },
  convolution: (call, context) => descriptorWords('convolution', convolutionDescriptor(call), context),
  pool: (call, context) => descriptorWords('pool', poolDescriptor(call), context),
  unpool: (call, context) => descriptorWords('unpool', poolDescriptor(call), context),
  gather: (call) => callWords('gather', call),
  scatterAdd: (call) => callWords('scatterAdd', call),
  random: (call) => callWords('random', call),
  softmax: (call) => callWords('softmax', { ...call, period: call.period ?? 0 }),
  softmaxGradient: (call) => callWords('softmaxGradient', { ...call, period: call.period ?? 0 }),
  layerNorm: (call) => callWords('layerNorm', call),
  layerNormGradient: (call) => callWords('layerNormGradient', call),
};

function mapWords(maps: readonly PlacedMap<number>[], context: CallContext): number[] {
  return descriptorWords('map', mapDescriptor(maps), context);
}

/** Places the descriptor of a kernel that takes nothing else. */
function descriptorWords(
  kernel: 'map' | 'convolution' | 'pool' | 'unpool',
  { bytes, write }: Descriptor,
  context: CallContext,
): number[] {
  const descriptor = context.reserve(bytes);
  write(context.memory.buffer, descriptor);
  return callWords(kernel, { descriptor });
}

function matmulWords(call: Placed<MatmulCall, number>, context: CallContext): number[] {
  const { m, k, left, bias = 0, microbatches = 1 } = call;
  const operands = operandsOf(call);
  const [leftBytes, rightBytes] = [operands.left, operands.right].map(({ strides }) => strides.map(bytesOf));
  return callWords('matmul', {
    ...call,
    leftRowBytes: leftBytes!.at(-2)!,
    leftInnerBytes: leftBytes!.at(-1)!,
    rightInnerBytes: rightBytes!.at(-2)!,
    rightColumnBytes: rightBytes!.at(-1)!,
    microbatches,
    bias,
    relu: call.epilogue?.relu ?? false,
    byteOperand: isDenseLeft(call) ? context.byteOperand(left, m * k) : 0,
    batch: call.batch === undefined ? 0 : batchDescriptor(call.batch, leftBytes!, rightBytes!, context),
  });
}

function bytesOf(values: number): number {
  return values * bytesPerValue;
}

/** Whether a product reads one left matrix, all values of it one after another. */
export function isDenseLeft(call: Pick<MatmulCall, 'm' | 'k' | 'n' | 'batch' | 'leftLayout'>): boolean {
  const { offset, strides } = operandsOf(call).left;
  const isDense = sameShape(strides, [call.k, 1]) || sameShape(strides, [1, call.m]);
  return call.batch === undefined && offset === 0 && isDense;
}

/** Places the batch as kernels/product.ts reads it: the axes with their strides in bytes and running indices. */
function batchDescriptor(
  batch: Shape,
  left: readonly number[],
  right: readonly number[],
  { memory, reserve }: CallContext,
): number {
  const axes = joinAxes(batch, [left, right]);
  const words = [axes.length, sizeOf(batch), ...axes.flatMap(({ length, strides }) => [length, ...strides, 0])];
  const descriptor = reserve(words.length * wordBytes);
  new Uint32Array(memory.buffer, descriptor, words.length).set(words);
  return descriptor;
}

/** A kernel's parameters in memory, followed by its scratch space. */
interface Descriptor {
  readonly bytes: number;
  /** Writes the descriptor at `address`, which must be a multiple of 16 and have room for `bytes`. */
  write(buffer: ArrayBufferLike, address: number): void;
}

/** Columns of one packed panel of a right operand, as in kernels/shared.ts. */
const panelColumns = 8;
/** Four pointers and one finished edge tile, as in kernels/convolution.ts. */
const scratchBytes = 16 + 4 * panelColumns * bytesPerValue;
/** Kernels read whole panels of right operands and biases. */
const readBeyondBytes = panelColumns * bytesPerValue;

/** Codes of `result`, as in kernels/windows.ts. */
const resultCodes = { output: 0, inputGradient: 1, kernelGradient: 2 } as const;

function convolutionDescriptor(call: Placed<ConvolutionCall, number>): Descriptor {
  const { result, windows, filters, left, right, output, bias = 0 } = call;
  const words = 22;
  const packed = aligned(words * bytesPerValue);
  const frame = aligned(packed + packedValues(result, windows, filters) * bytesPerValue);
  const frameLength = frameValues(result, windows, filters) * bytesPerValue;
  const scratch = aligned(frame + frameLength);
  return {
    bytes: scratch + scratchBytes + readBeyondBytes,
    write(buffer, address) {
      new Uint32Array(buffer, address, words).set([
        resultCodes[result],
        ...wordsOf(windows),
        filters,
        left,
        right,
        output,
        address + packed,
        frameLength === 0 ? 0 : address + frame,
        address + scratch,
        bias,
        Number(call.epilogue?.relu ?? false),
      ]);
      new Uint8Array(buffer, address + frame, frameLength).fill(0);
    },
  };
}

function poolDescriptor(call: Placed<PoolCall | UnpoolCall, number>): Descriptor {
  const indices = ('argmaxIndices' in call && call.argmaxIndices) || 0;
  const words = [...wordsOf(call.windows), call.input, call.output, indices];
  return {
    bytes: words.length * bytesPerValue,
    write: (buffer, address) => new Uint32Array(buffer, address, words.length).set(words),
  };
}

/** Words of the geometry, in the order of the kernels' descriptors. */
function wordsOf(windows: Windows): number[] {
  const { images, height, width, channels, windowHeight, windowWidth, outputHeight, outputWidth } = windows;
  const { strideHeight, strideWidth, paddingHeight, paddingWidth } = windows;
  const steps = [strideHeight, strideWidth, paddingHeight, paddingWidth];
  return [images, height, width, channels, windowHeight, windowWidth, ...steps, outputHeight, outputWidth];
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

type Result = ConvolutionCall['result'];

/** Number of values of the packed right operand. */
function packedValues(result: Result, { windowHeight, windowWidth, channels }: Windows, filters: number): number {
  if (result === 'kernelGradient') return 0;
  const [inner, columns] = result === 'output' ? [channels, filters] : [filters, channels];
  return windowHeight * windowWidth * inner * Math.ceil(columns / panelColumns) * panelColumns;
}

/** Number of values of one padded image; 0 if images can be read in place. */
function frameValues(result: Result, windows: Windows, filters: number): number {
  const { height, width, channels, windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (result === 'inputGradient') return (height + windowHeight - 1) * (width + windowWidth - 1) * filters;
  if (paddingHeight === 0 && paddingWidth === 0) return 0;
  return (height + 2 * paddingHeight) * (width + 2 * paddingWidth) * channels;
}

/** A range of memory that a map reads or writes: a whole vector, or one value for all elements. */
interface Stretch {
  readonly address: number;
  readonly bytes: number;
}

/**
 * Returns the longest run of maps from `calls[from]` on that can be fused. They work on vectors of one length, and any
 * two stretches, at least one of which is written, are identical or disjoint. So element i of each map depends only on
 * element i of earlier maps.
 */
function fusedMaps(calls: readonly Placed<KernelCall, number>[], from: number): readonly PlacedMap<number>[] {
  const run: PlacedMap<number>[] = [];
  const [read, written]: [Stretch[], Stretch[]] = [[], []];
  for (let at = from; at < calls.length; at++) {
    const call = calls[at]!;
    const stretches = stretchesOf(call);
    if (call.kind !== 'map' || stretches === undefined) break;
    if (run.length > 0 && sizeOf(call.shape) !== sizeOf(run[0]!.shape)) break;
    const output = stretches.pop()!;
    const fits =
      stretches.every((stretch) => written.every((other) => isSameOrApart(stretch, other))) &&
      [...read, ...written, ...stretches].every((other) => isSameOrApart(output, other));
    if (!fits) break;
    const size = sizeOf(call.shape);
    run.push({
      ...call,
      shape: [size],
      strides: [...stretches, output].map(({ bytes }) => [bytes === bytesPerValue ? 0 : 1]),
    });
    read.push(...stretches);
    written.push(output);
  }
  return run;
}

/** Returns the stretches of the inputs, then of the output; undefined if one is not visited in order. */
function stretchesOf(call: Placed<KernelCall, number>): Stretch[] | undefined {
  if (call.kind !== 'map') return undefined;
  const axes = joinAxes(call.shape, call.strides);
  const strides = axes[0]?.strides;
  const isVector = axes.length === 1 && strides!.every((stride) => stride <= 1) && strides!.at(-1) === 1;
  if (!isVector) return undefined;
  const size = sizeOf(call.shape);
  return [...call.inputs, call.output].map((address, which) => ({
    address,
    bytes: bytesPerValue * (strides![which] === 1 ? size : 1),
  }));
}

function isSameOrApart(one: Stretch, other: Stretch): boolean {
  const isSame = one.address === other.address && one.bytes === other.bytes;
  return isSame || one.address + one.bytes <= other.address || other.address + other.bytes <= one.address;
}

type Application = Extract<Formula, { kind: 'apply' }>;

/** Finds each sum or difference with a product that nothing else reads; returns its operands, as `x ± y * z`. */
function withProducts(nodes: readonly Formula[]) {
  const readers = new Map<Formula, number>();
  for (const node of nodes) {
    if (node.kind !== 'apply') continue;
    for (const operand of node.operands) readers.set(operand, (readers.get(operand) ?? 0) + 1);
  }
  const joined = new Map<Formula, { product: Application; operands: readonly Formula[] }>();
  for (const node of nodes) {
    if (node.kind !== 'apply' || (node.primitive !== 'add' && node.primitive !== 'sub')) continue;
    const [left, right] = node.operands as [Formula, Formula];
    const isProduct = (formula: Formula): formula is Application =>
      formula.kind === 'apply' && formula.primitive === 'mul' && readers.get(formula) === 1;
    if (isProduct(right)) joined.set(node, { product: right, operands: [left, ...right.operands] });
    else if (node.primitive === 'add' && isProduct(left)) {
      joined.set(node, { product: left, operands: [right, ...left.operands] });
    }
  }
  return joined;
}

/** Layout of a map's view in memory. */
interface View {
  readonly address: number;
  readonly strides: readonly number[];
}

interface Instruction {
  readonly code: number;
  /** Slot of the result; operands are slots too. */
  readonly target: number;
  readonly operands: readonly number[];
}

/**
 * Instructions and slots of the maps of one pass. Slots are the views first, then results, constants and intermediate
 * values.
 */
class Assembly {
  readonly instructions: Instruction[] = [];
  readonly constants = new Map<number, number>();
  readonly views: readonly View[];
  slots: number;
  /** Slots of computed values that are still valid, by code and operands. */
  readonly #known = new Map<string, { readonly slot: number; readonly operands: readonly number[] }>();

  constructor(views: readonly View[]) {
    this.views = views;
    this.slots = views.length;
  }

  /** Adds the instructions of a map, which leave its values in `target`, by default a new slot. */
  add(formula: Formula, inputSlots: readonly number[], target?: number): void {
    const slotOf = new Map<Formula, number>();
    const nodes = topological(formula);
    const joined = withProducts(nodes);
    const products = new Set<Formula>(Array.from(joined.values(), ({ product }) => product));
    const result = target ?? this.slots++;
    for (const node of nodes) {
      if (products.has(node)) continue;
      const own = node === formula ? result : undefined;
      if (node.kind === 'input') slotOf.set(node, inputSlots[node.index]!);
      else if (node.kind === 'constant') slotOf.set(node, this.#constant(node.value));
      else {
        const product = joined.get(node);
        const operands = (product?.operands ?? node.operands).map((operand) => slotOf.get(operand)!);
        const name = product === undefined ? node.primitive : node.primitive === 'add' ? 'addProduct' : 'subProduct';
        slotOf.set(node, this.#apply(codes[name], operands, own));
      }
    }
    if (formula.kind !== 'apply') this.#write(codes.copy, [slotOf.get(formula)!], result);
  }

  #constant(value: number): number {
    for (const [slot, known] of this.constants) if (Object.is(known, value)) return slot;
    this.constants.set(this.slots, value);
    return this.slots++;
  }

  /** Reuses the slot of a value that is already computed, unless a target is given. */
  #apply(code: number, operands: readonly number[], target: number | undefined): number {
    const key = `${code} ${operands}`;
    const known = this.#known.get(key);
    if (known !== undefined && target === undefined) return known.slot;
    const slot = target ?? this.slots++;
    this.#write(code, operands, slot);
    // Values in a given slot are not reused, because a view can be overwritten.
    if (target === undefined) this.#known.set(key, { slot, operands });
    return slot;
  }

  #write(code: number, operands: readonly number[], target: number): void {
    this.instructions.push({ code, target, operands });
    for (const [key, known] of this.#known) if (known.operands.includes(target)) this.#known.delete(key);
  }
}

/**
 * Assembles one map, or several over the same elements as one pass (`fusedMaps`), each of which may read earlier
 * results.
 */
function assemble(maps: readonly PlacedMap<number>[]): Assembly {
  const views: View[] = [];
  const slotOf = (address: number, strides: readonly number[]): number => {
    const isSame = (view: View): boolean => view.address === address && sameShape(view.strides, strides);
    const known = views.findIndex(isSame);
    return known >= 0 ? known : views.push({ address, strides }) - 1;
  };
  const slots = maps.map(({ inputs, output, strides }, index) => ({
    inputs: inputs.map((address, which) => slotOf(address, strides[which]!)),
    // Intermediate outputs are views like inputs: their slots point to their memory.
    output: index < maps.length - 1 ? slotOf(output, strides.at(-1)!) : undefined,
  }));
  const assembly = new Assembly(views);
  for (const [index, { formula }] of maps.entries()) assembly.add(formula, slots[index]!.inputs, slots[index]!.output);
  return assembly;
}

/** Marks the first instruction of each `momentumStep`. */
function withSteps(instructions: readonly Instruction[], views: number, isUniform: (slot: number) => boolean) {
  const reads = instructions.flatMap(({ operands }) => operands);
  return instructions.map((instruction, index): Instruction => {
    const [sum, difference] = [instructions[index + 1], instructions[index + 2]];
    const { code, target, operands } = instruction;
    if (code !== codes.mul || sum?.code !== codes.addProduct || difference?.code !== codes.subProduct)
      return instruction;
    const [product, , b] = sum.operands as [number, number, number];
    const [, c, factor] = difference.operands as [number, number, number];
    const areUniform = [operands[1]!, b, c].every(isUniform);
    // A step does not store the first product, so only the sum may read it.
    const isInner = target >= views && product === target && reads.filter((slot) => slot === target).length === 1;
    const isStep = areUniform && isInner && factor === sum.target;
    return isStep ? { ...instruction, code: codes.momentumStep } : instruction;
  });
}

/** @param maps one map, or several of the same shape */
function mapDescriptor(maps: readonly PlacedMap<number>[]): Descriptor {
  const { instructions: assembled, constants, slots, views } = assemble(maps);
  const { output, shape, strides } = maps.at(-1)!;
  const all = [...views, { address: output, strides: strides.at(-1)! }];
  const axes = joinAxes(
    shape,
    all.map((view) => view.strides),
  );
  const inner = axes.pop() ?? { length: 1, strides: all.map(() => 1) };
  // Several short rows are computed at once. Copies of rows may write three values more than they have.
  const fitting = Math.floor((chunkLength - 3) / inner.length);
  const rows = (fitting > 1 && axes.pop()) || { length: 1, strides: all.map(() => 0) };
  const isUniform = (slot: number): boolean =>
    constants.has(slot) || (slot < views.length && inner.strides[slot] === 0 && rows.strides[slot] === 0);
  const instructions = withSteps(assembled, views.length, isUniform);
  const outerElements = axes.reduce((product, axis) => product * axis.length, 1);
  const viewsWord = 10 + 2 * axes.length;
  const viewWords = 3 + axes.length;
  const instructionsWord = viewsWord + all.length * viewWords;
  const slotsWord = instructionsWord + 5 * instructions.length;
  const chunksOffset = 4 * (slotsWord + slots);
  return {
    bytes: chunksOffset + 4 * chunkLength * slots,
    write(buffer, address) {
      const at = (word: number): number => address + 4 * word;
      const chunks = address + chunksOffset;
      const words = [
        axes.length,
        outerElements,
        rows.length,
        inner.length,
        Math.max(1, fitting),
        at(slotsWord),
        chunks,
      ];
      words.push(at(instructionsWord - viewWords), at(instructionsWord), at(slotsWord - 5));
      for (const axis of axes) words.push(axis.length, 0);
      all.forEach((view, which) => {
        words.push(view.address, ...[inner, rows, ...axes].map(({ strides }) => 4 * strides[which]!));
      });
      for (const { code, target, operands } of instructions) {
        const [a = 0, b = a, c = a] = operands;
        words.push(code, target, a, b, c);
      }
      for (let slot = 0; slot < slots; slot++) words.push(chunks + 4 * chunkLength * slot);
      new Uint32Array(buffer, address, words.length).set(words);
      for (const [slot, value] of constants) {
        new Float32Array(buffer, chunks + 4 * chunkLength * slot, chunkLength).fill(value);
      }
    },
  };
}

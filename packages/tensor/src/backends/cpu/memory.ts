/** The memory that all kernels and threads share, and who has which part of it. */
import { kernelsText } from './generated/kernels.ts';

export const pageBytes = 65536;

const alignment = 64;
/** Kernels may read, but not write, this far past a block. */
const slackBytes = 64;
/** Most pages to grow by unless more are needed: a quarter of a large model's memory would mostly stay unused. */
const mostSparePages = (16 * 2 ** 20) / pageBytes;

interface FreeBlock {
  start: number;
  end: number;
}

export class Allocator {
  readonly #memory: WasmMemory;
  /** Free blocks in ascending order, never adjacent. */
  readonly #free: FreeBlock[];
  readonly #sizes = new Map<number, number>();

  constructor(memory: WasmMemory, start: number) {
    this.#memory = memory;
    this.#free = [{ start: roundUp(start, alignment), end: memory.buffer.byteLength - slackBytes }];
  }

  /**
   * Returns the address of a new block, growing the memory if no gap is large enough.
   * @throws RangeError if the memory cannot grow
   */
  allocate(bytes: number): number {
    const size = Math.max(alignment, roundUp(bytes, alignment));
    let index = this.#free.findIndex((block) => block.end - block.start >= size);
    if (index < 0) index = this.#grow(size);
    const block = this.#free[index]!;
    const start = block.start;
    block.start += size;
    if (block.start === block.end) this.#free.splice(index, 1);
    this.#sizes.set(start, size);
    return start;
  }

  release(start: number): void {
    const size = this.#sizes.get(start);
    if (size === undefined) throw new Error(`cpu: no block begins at ${start}`);
    this.#sizes.delete(start);
    let index = this.#free.findIndex((block) => block.start > start);
    if (index < 0) index = this.#free.length;
    this.#free.splice(index, 0, { start, end: start + size });
    this.#mergeWithNext(index);
    if (index > 0) this.#mergeWithNext(index - 1);
  }

  #mergeWithNext(index: number): void {
    const [block, next] = [this.#free[index]!, this.#free[index + 1]];
    if (next === undefined || block.end !== next.start) return;
    block.end = next.end;
    this.#free.splice(index + 1, 1);
  }

  /**
   * Grows the memory until its last gap has at least `size` bytes; returns the index of that gap. If possible, adds at
   * least a quarter of the memory or 16 MB, whichever is less.
   */
  #grow(size: number): number {
    const before = this.#memory.buffer.byteLength;
    const end = before - slackBytes;
    const lastFree = this.#free.at(-1);
    const there = lastFree?.end === end ? end - lastFree.start : 0;
    const needed = Math.ceil((size - there) / pageBytes);
    const generous = Math.max(needed, Math.min(mostSparePages, Math.ceil(before / 4 / pageBytes)));
    try {
      this.#memory.grow(generous);
    } catch {
      try {
        this.#memory.grow(needed);
      } catch {
        const [more, given] = [size, before].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`);
        throw new RangeError(`cpu: WebAssembly memory could not grow from ${given} by ${more}`);
      }
    }
    const newEnd = this.#memory.buffer.byteLength - slackBytes;
    if (lastFree?.end === end) lastFree.end = newEnd;
    else this.#free.push({ start: end, end: newEnd });
    return this.#free.length - 1;
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** The part of WebAssembly's API that is used here, so that no platform's type library is needed. */
export interface WasmMemory {
  /** A SharedArrayBuffer if threads share the memory. */
  readonly buffer: ArrayBufferLike;
  /** @throws RangeError if the engine refuses */
  grow(pages: number): number;
}

interface WasmEngine {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: unknown }>;
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
}

/**
 * Exports of the kernels. Pointers are byte addresses in the memory; parameters are in the order of the functions in
 * kernels/.
 */
export interface Kernels {
  /** Runs the calls of a program, from its first byte up to its end. */
  execute(program: number, end: number): void;
  workspace(): number;
  workspaceBytes(): number;
  setWorkspace(address: number): void;
  /** Whether the engine makes one vector of two; it changes the shape of tiles, and no bit of a result. */
  setWide(isWide: boolean): void;
  bytesToFloats(bytes: number, output: number, count: number, divisor: number): void;
  feedLanes(state: number, bytes: number, count: number): void;
  nonZeroBlocks(values: number, count: number, bitmap: number): void;
}

const initialPages = 64;
const maximumPages = 65536;
/** Most memory that one `cpu` backend can have: the address space of 32-bit WebAssembly. */
export const maxCpuMemoryBytes = maximumPages * pageBytes;

/** Setup of the kernels on one memory; can be posted to threads. */
export interface KernelSetup {
  /** A WebAssembly.Module. */
  readonly module: object;
  readonly memory: WasmMemory;
  readonly vectorBits: VectorBits;
}

export interface KernelInstance extends KernelSetup {
  readonly kernels: Kernels;
}

/** Length of the vectors that kernels compute with. WebAssembly's have 128 bits. */
export type VectorBits = 128 | 256;

let vectorBits: VectorBits = 128;

/** Sets the length of the vectors of all kernels that are compiled from now on, as the engine was told. */
export function setVectorBits(bits: VectorBits): void {
  vectorBits = bits;
}

/** Compiled modules, by whether they import a shared memory. */
const compiled = new Map<boolean, Promise<object>>();

/**
 * Creates an instance of the kernels with a new memory.
 * @param isShared whether threads share the memory
 * @throws if the engine has no WebAssembly, or no SIMD in it
 */
export async function createKernels(isShared: boolean): Promise<KernelInstance> {
  const engine = wasmEngine();
  const compiling = compiled.get(isShared) ?? codeOf(isShared).then((code) => engine.compile(bytesOf(code)));
  compiled.set(isShared, compiling);
  const module = await compiling;
  const memory = new engine.Memory({ initial: initialPages, maximum: maximumPages, shared: isShared });
  const setup = { module, memory, vectorBits };
  return { ...setup, kernels: await instantiateKernels(setup) };
}

/** Instantiates a compiled module on an existing memory. */
export async function instantiateKernels({ module, memory, vectorBits }: KernelSetup): Promise<Kernels> {
  const { exports } = await wasmEngine().instantiate(module, { env: { memory } });
  const kernels = exports as Kernels;
  kernels.setWide(vectorBits === 256);
  return kernels;
}

function wasmEngine(): WasmEngine {
  const { WebAssembly: engine } = globalThis as { WebAssembly?: WasmEngine };
  if (engine === undefined) throw new Error('this engine has no WebAssembly');
  return engine;
}

/** Loads the code for a shared memory on demand, because one thread does not need it. */
async function codeOf(isShared: boolean): Promise<string> {
  return isShared ? (await import('./generated/shared-kernels.ts')).sharedKernelsText : kernelsText;
}

/** Reads the digits that scripts/build-kernels.mjs writes. */
function bytesOf(text: string): Uint8Array {
  const bytes: number[] = [];
  const digitAt = (at: number): number => text.charCodeAt(at) - (text.charCodeAt(at) < 92 ? 40 : 41);
  for (let at = 0; at < text.length; at++) {
    const value = digitAt(at);
    bytes.push(value < 84 ? value : 84 + 86 * (value - 84) + digitAt(++at));
  }
  return Uint8Array.from(bytes);
}

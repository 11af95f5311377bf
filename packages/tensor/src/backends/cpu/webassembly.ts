/** WebAssembly modules of the kernels: their types, and loading without a file system or fetch. */
import { getOrCreate } from '../get-or-create.ts';
import { kernelsHex } from './generated/kernels.ts';

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
  bytesToFloats(bytes: number, output: number, count: number, divisor: number): void;
  checksumTake(state: number, bytes: number, count: number): void;
  checksumEnd(state: number, count: number): number;
  nonZeroBlocks(values: number, count: number, bitmap: number): void;
}

export const pageBytes = 65536;
const initialPages = 64;
const maximumPages = 65536;
/** Most memory that one `cpu` backend can have: the address space of 32-bit WebAssembly. */
export const maxCpuMemoryBytes = maximumPages * pageBytes;

/** Kernels on a memory, and the module that threads need to instantiate them on the same memory. */
export interface KernelInstance {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** A WebAssembly.Module, which can be posted to threads. */
  readonly module: object;
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
  const module = await getOrCreate(compiled, isShared, async () => engine.compile(decodeHex(await codeOf(isShared))));
  const memory = new engine.Memory({ initial: initialPages, maximum: maximumPages, shared: isShared });
  return { kernels: await instantiateKernels(module, memory), memory, module };
}

/** Instantiates a compiled module on an existing memory. */
export async function instantiateKernels(module: object, memory: WasmMemory): Promise<Kernels> {
  const { exports } = await wasmEngine().instantiate(module, { env: { memory } });
  return exports as Kernels;
}

function wasmEngine(): WasmEngine {
  const { WebAssembly: engine } = globalThis as { WebAssembly?: WasmEngine };
  if (engine === undefined) throw new Error('this engine has no WebAssembly');
  return engine;
}

/** Loads the code for a shared memory on demand, because one thread does not need it. */
async function codeOf(isShared: boolean): Promise<string> {
  return isShared ? (await import('./generated/shared-kernels.ts')).sharedKernelsHex : kernelsHex;
}

/** Decodes two lower-case digits per byte. */
function decodeHex(text: string): Uint8Array {
  const digitAt = (at: number): number => {
    const code = text.charCodeAt(at);
    return code - (code > 57 ? 87 : 48);
  };
  return Uint8Array.from({ length: text.length / 2 }, (_, byte) => 16 * digitAt(2 * byte) + digitAt(2 * byte + 1));
}

/** The WebAssembly modules of kernels: their types, and their loading without a file system or fetch. */
import { getOrCreate } from '../get-or-create.ts';
import { kernelsHex } from './generated/kernels.ts';

/** The part of the engine's WebAssembly interface that is used here, so that no platform's type library is needed. */
export interface WasmMemory {
  /** Of a memory that threads share, a SharedArrayBuffer. */
  readonly buffer: ArrayBufferLike;
  /** @throws RangeError when the engine refuses. */
  grow(pages: number): number;
}

interface WasmEngine {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: unknown }>;
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
}

/** Pointers are byte addresses in the memory; their order is that of the functions in kernels/. */
export interface Kernels {
  /** Runs the calls of a program, from its first byte up to its end. */
  execute(program: number, end: number): void;
  workspace(): number;
  workspaceBytes(): number;
  setWorkspace(address: number): void;
  multiplyAddOnce(sum: number, a: number, b: number): number;
  bytesToFloats(bytes: number, output: number, count: number, divisor: number): void;
  checksumTake(state: number, bytes: number, count: number): void;
  checksumEnd(state: number, count: number): number;
  nonZeroBlocks(values: number, count: number, bitmap: number): void;
}

export const pageBytes = 65536;
const initialPages = 64;
const maximumPages = 65536;
/** Most memory that one `cpu` backend can have: what 32-bit WebAssembly addresses. */
export const maxCpuMemoryBytes = maximumPages * pageBytes;

/** With relaxed SIMD, products and sums of matrix products may be fused. */
export type KernelVariant = 'simd' | 'relaxed-simd';

/** Kernels at work on a memory, and what threads need to instantiate them again on the same memory. */
export interface KernelInstance {
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  /** A WebAssembly.Module, which can be posted to threads. */
  readonly module: object;
}

const compiled = new Map<string, Promise<object>>();

/**
 * A new instance of the kernels, with a new memory.
 * @param isShared whether threads share the memory
 * @throws when the engine has no WebAssembly, or none with the variant's instructions.
 */
export async function createKernels(variant: KernelVariant, isShared: boolean): Promise<KernelInstance> {
  const engine = wasmEngine();
  const key = `${variant} ${isShared}`;
  const codeOf = codes[isShared ? 'shared' : 'own'][variant];
  const module = await getOrCreate(compiled, key, async () => engine.compile(decodeHex(await codeOf())));
  const memory = new engine.Memory({ initial: initialPages, maximum: maximumPages, shared: isShared });
  return { kernels: await instantiateKernels(module, memory), memory, module };
}

/** The kernels of a compiled module on a memory that exists. */
export async function instantiateKernels(module: object, memory: WasmMemory): Promise<Kernels> {
  const { exports } = await wasmEngine().instantiate(module, { env: { memory } });
  return exports as Kernels;
}

function wasmEngine(): WasmEngine {
  const { WebAssembly: engine } = globalThis as { WebAssembly?: WasmEngine };
  if (engine === undefined) throw new Error('this engine has no WebAssembly');
  return engine;
}

/** A module imports either a memory of its own or a shared one. All but the first are loaded where they are asked for. */
const codes: Record<'own' | 'shared', Record<KernelVariant, () => string | Promise<string>>> = {
  own: {
    simd: () => kernelsHex,
    'relaxed-simd': async () => (await import('./generated/relaxed-kernels.ts')).relaxedKernelsHex,
  },
  shared: {
    simd: async () => (await import('./generated/shared-kernels.ts')).sharedKernelsHex,
    'relaxed-simd': async () => (await import('./generated/shared-relaxed-kernels.ts')).sharedRelaxedKernelsHex,
  },
};

/** Two lower-case digits a byte. */
function decodeHex(text: string): Uint8Array {
  const digitAt = (at: number): number => {
    const code = text.charCodeAt(at);
    return code - (code > 57 ? 87 : 48);
  };
  return Uint8Array.from({ length: text.length / 2 }, (_, byte) => 16 * digitAt(2 * byte) + digitAt(2 * byte + 1));
}

/** The WebAssembly module of kernels: its types, and its loading without a file system or fetch. */
import { getOrCreate } from '../get-or-create.ts';
import { kernelsBase64 } from './generated/kernels.ts';

/** The part of the engine's WebAssembly interface that is used here, so that no platform's type library is needed. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** @throws RangeError when the engine refuses. */
  grow(pages: number): number;
}

interface WasmEngine {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: unknown }>;
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
}

type ReduceKernel = (outer: number, length: number, inner: number, input: number, output: number) => void;

type GatherKernel = (
  outer: number,
  length: number,
  inner: number,
  count: number,
  ownIndices: number,
  input: number,
  indices: number,
  output: number,
) => void;

/** Pointers are byte addresses in the memory; their order is that of the functions in kernels/. */
export interface Kernels {
  workspaceEnd(): number;
  map(descriptor: number): void;
  readonly sum: ReduceKernel;
  readonly argmax: ReduceKernel;
  readonly max: ReduceKernel;
  readonly min: ReduceKernel;
  matmul(
    m: number,
    k: number,
    n: number,
    left: number,
    right: number,
    transposeLeft: number,
    transposeRight: number,
    microbatches: number,
    output: number,
    bias: number,
    relu: number,
  ): void;
  crossEntropy(
    rows: number,
    classes: number,
    logits: number,
    labels: number,
    losses: number,
    gradient: number,
    gradientRowBytes: number,
  ): void;
  convolution(descriptor: number): void;
  pool(descriptor: number): void;
  unpool(descriptor: number): void;
  readonly gather: GatherKernel;
  readonly scatterAdd: GatherKernel;
  random(rows: number, columns: number, stream: number, key: number, samples: number, output: number): void;
  multiplyAddOnce(sum: number, a: number, b: number): number;
  bytesToFloats(bytes: number, output: number, count: number, divisor: number): void;
  copyRows(table: number, rows: number, columns: number, numbers: number, count: number, output: number): number;
  largestMagnitude(source: number, count: number): number;
}

export const pageBytes = 65536;
const initialPages = 64;
const maximumPages = 65536;
/** Most memory that one `cpu` backend can have: what 32-bit WebAssembly addresses. */
export const maxCpuMemoryBytes = maximumPages * pageBytes;

/** The same kernels twice: with relaxed SIMD, products and sums of matrix products may be fused. */
export type KernelVariant = 'simd' | 'relaxed-simd';

const compiled = new Map<KernelVariant, Promise<object>>();

/**
 * A new instance of the kernels, with a new memory.
 * @throws when the engine has no WebAssembly, or none with the variant's instructions.
 */
export async function instantiateKernels(variant: KernelVariant): Promise<{ kernels: Kernels; memory: WasmMemory }> {
  const { WebAssembly: engine } = globalThis as { WebAssembly?: WasmEngine };
  if (engine === undefined) throw new Error('this engine has no WebAssembly');
  const module = getOrCreate(compiled, variant, async () => engine.compile(decodeBase64(await codeOf(variant))));
  const memory = new engine.Memory({ initial: initialPages, maximum: maximumPages });
  const { exports } = await engine.instantiate(await module, { env: { memory } });
  return { kernels: exports as Kernels, memory };
}

/** The second module is loaded only where it is asked for. */
async function codeOf(variant: KernelVariant): Promise<string> {
  if (variant === 'simd') return kernelsBase64;
  return (await import('./generated/relaxed-kernels.ts')).relaxedKernelsBase64;
}

function decodeBase64(text: string): Uint8Array {
  const { atob } = globalThis as unknown as { atob(text: string): string };
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

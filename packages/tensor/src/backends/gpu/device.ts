/** The interface of a GPU device: arrays, and kernels from arrays to arrays. Both modes of gpu.js share a base class. */
import { DeviceLostError } from '../../backend.ts';

/** Float32 values on the device, four to a cell; immutable once written. */
export interface DeviceArray {
  /** Number of values. The last cell may hold more, which have no meaning. */
  readonly length: number;
}

/** A kernel as text that every mode compiles: one thread per cell of its result, in row-major order. */
export interface KernelSource {
  /** Number of arrays that the kernel reads, named a0, a1 and so on in the body. */
  readonly inputs: number;
  /** Number of values of the result. */
  readonly length: number;
  /** Threads along x, y and z, as `this.thread` in the body; their product is the number of cells. */
  readonly threads: readonly [number, number, number];
  /** Statements in the JavaScript that gpu.js accepts, ending in `return [v0, v1, v2, v3]`. */
  readonly body: string;
  /**
   * If set, each thread computes four cells: the one that it returns, and those a quarter, a half and three quarters of
   * the result further on, which it passes to `part1(v0, v1, v2, v3)`, `part2` and `part3`. `threads` counts a quarter
   * of the cells.
   */
  readonly quartered?: boolean;
}

/** How a body reads its inputs, which differs between the modes. */
export interface Dialect {
  /** Expression of gpu.js's type Array(4) for the cell at a whole index. */
  cell(input: number, index: string): string;
  /** Expression for the value at a whole index. */
  value(input: number, index: string): string;
}

/** A kernel that is compiled or being compiled. */
export interface DeviceKernel {
  readonly source: KernelSource;
}

/** A range of an array. */
export interface DeviceStretch {
  readonly array: DeviceArray;
  readonly offset: number;
  readonly length: number;
}

/** One mode of gpu.js on one adapter. All methods except `read` return at once; work runs in the order requested. */
export interface Device {
  /** gpu.js's name for the mode. */
  readonly mode: string;
  /** The GPU or software renderer, as the driver names it. */
  readonly adapter: string;
  readonly dialect: Dialect;
  /** Most arrays that one kernel may read. */
  readonly maxInputs: number;
  /** Most threads along x and y, and along z; any number along x alone. */
  readonly maxThreads: readonly [number, number];
  /** Most values in one array. */
  readonly maxLength: number;
  /** Resolves when the device is lost, unless it was closed before. */
  readonly lost: Promise<DeviceLostError>;
  /** Whether a kernel with a result of `length` values may be quartered. */
  quarters(length: number): boolean;
  /** Copies values to the device. They must not change until the next `read` has ended. */
  upload(values: Float32Array): DeviceArray;
  /** Compiles a kernel; returns the same one for equal sources. */
  compile(source: KernelSource): DeviceKernel;
  /** Runs a kernel; returns its result as a new array. */
  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray;
  /** Copies values back after all work requested earlier. */
  read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]>;
  /** Releases an array. Work requested earlier may still read it. */
  release(array: DeviceArray): void;
  /**
   * Releases everything, once. Later requests throw; a pending read rejects or still returns its values. Never rejects,
   * even if the device was lost.
   */
  close(): Promise<void>;
}

/** Values per cell. */
export const cellLength = 4;

export function cellsOf(length: number): number {
  return Math.ceil(length / cellLength);
}

/** Returns the value of a key, creating and keeping it on first use. */
export function getOrCreate<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}

/** Names of the arrays that a body reads. */
export function inputNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index}`);
}

/** Returns text instead of a function, so that no bundler or minifier can change it. */
export function kernelText({ inputs, body }: KernelSource): string {
  return `function kernel(${inputNames(inputs).join(', ')}) {\n${body}\n}`;
}

/** Internals of a kernel that gpu.js's own pipelines use too. Pinned to version 2.24.1. */
export interface GpuJsKernel {
  build(...inputs: unknown[]): unknown;
  validateSettings(inputs: unknown): void;
  checkTextureSize(): void;
  // webgl2
  context: unknown;
  texSize: Int32Array;
  texture: unknown;
  mappedTextures: unknown;
  drawBuffersMap: unknown;
  _replaceOutputTexture(): void;
  // webgpu
  readonly computePipeline: GPUComputePipeline;
  outputBuffer: GPUBuffer | null;
  readonly paramsLayout: { readonly byteLength: number };
  readonly workgroupSize: readonly [number, number, number];
}

/** gpu.js's WebGPU device, which all its users on a page share. */
export interface GpuJsContext {
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  readonly isLost: boolean;
}

/** Function that runs a kernel, as gpu.js returns it. */
export interface GpuJsShortcut {
  (...inputs: unknown[]): unknown;
  readonly kernel: GpuJsKernel;
}

export interface GpuJsInstance {
  createKernel(source: string, settings: object): GpuJsShortcut;
  /** Creates a kernel with further results: the values that it passes to each of these functions. */
  createKernelMap(functions: readonly string[], source: string, settings: object): GpuJsShortcut;
  addFunction(source: string, settings: object): unknown;
  destroy(): Promise<unknown>;
}

export interface GpuJs {
  readonly GPU: {
    new (settings: { mode: string }): GpuJsInstance;
    readonly isWebGPUSupported: boolean;
    isWebGPUAvailable(): Promise<boolean>;
    readonly isWebGL2Supported: boolean;
  };
  readonly Input: new (values: Float32Array, size: readonly number[]) => unknown;
  readonly WebGPUContext: { acquire(): Promise<GpuJsContext>; destroy(): Promise<void> };
}

/** Gives Node the `navigator.gpu` of a browser, from the package webgpu if it can be loaded. */
async function provideWebGpu(): Promise<void> {
  const scope = globalThis as { process?: { versions?: { node?: string } }; navigator?: { gpu?: unknown } };
  if (scope.process?.versions?.node === undefined || scope.navigator?.gpu !== undefined) return;
  // Not a literal, so that bundlers for the browser leave it alone.
  const nodeOnly = 'webgpu';
  try {
    const { create } = (await import(/* @vite-ignore */ nodeOnly)) as { create(options: string[]): unknown };
    const gpu = create([]);
    if (scope.navigator === undefined) {
      Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
    } else {
      Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
    }
  } catch {
    // A platform without these binaries has no WebGPU; opening the device reports that.
  }
}

let loading: Promise<GpuJs> | undefined;

/**
 * Loads gpu.js, once.
 * @throws Error with one sentence if the package is not installed
 */
export async function loadGpuJs(): Promise<GpuJs> {
  loading ??= provideWebGpu().then(importGpuJs);
  return loading;
}

async function importGpuJs(): Promise<GpuJs> {
  try {
    const module = (await import('gpu.js')) as unknown as { default?: GpuJs } & GpuJs;
    return module.default ?? module;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`expected the package gpu.js, which npm install gpu.js gets: ${message.split('\n')[0]}`);
  }
}

/** Bytes of released memory that are kept for new arrays of the same size. */
const idleBytesKept = 256 * 2 ** 20;

export interface PooledMemory {
  /** Memory of equal size is interchangeable. */
  readonly size: string;
  readonly bytes: number;
}

export interface PooledArray<Memory> extends DeviceArray {
  readonly memory: Memory;
}

export abstract class GpuJsDevice<Kernel extends DeviceKernel, Memory extends PooledMemory> {
  abstract readonly mode: string;
  protected readonly kernels = new Map<string, Kernel>();
  readonly #idle = new Map<string, Memory[]>();
  #idleBytes = 0;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #resolveLost!: (error: DeviceLostError) => void;
  readonly lost = new Promise<DeviceLostError>((resolve) => {
    this.#resolveLost = resolve;
  });

  protected abstract createKernel(source: KernelSource, text: string): Kernel;
  /** Releases memory once work requested earlier is done. */
  protected abstract destroyMemory(unused: readonly Memory[]): void;
  protected abstract isLost(): boolean;
  /** Releases everything, including the memory of released arrays. Never rejects. */
  protected abstract dispose(idle: readonly Memory[]): Promise<void>;

  compile(source: KernelSource): DeviceKernel {
    const text = kernelText(source);
    const key = `${source.threads.join('x')} ${source.length} ${text}`;
    return getOrCreate(this.kernels, key, () => this.createKernel(source, text));
  }

  release(array: DeviceArray): void {
    if (this.#closing !== undefined) return;
    const { memory } = array as PooledArray<Memory>;
    getOrCreate(this.#idle, memory.size, () => []).push(memory);
    this.#idleBytes += memory.bytes;
    if (this.#idleBytes > idleBytesKept) this.destroyMemory(this.#takeAllIdle());
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.fail(new Error(`${this.mode}: the device was closed`));
      this.#closing = this.dispose(this.#takeAllIdle());
      this.kernels.clear();
    }
    return this.#closing;
  }

  /** Returns memory of a released array. It can be overwritten at once, because work runs in order. */
  protected takeIdle(size: string): Memory | undefined {
    const memory = this.#idle.get(size)?.pop();
    if (memory !== undefined) this.#idleBytes -= memory.bytes;
    return memory;
  }

  /** Makes `check` throw this error, or an earlier one, from now on. */
  protected fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    if (error instanceof DeviceLostError) this.#resolveLost(error);
  }

  protected noticeLoss(isLost = this.isLost()): void {
    if (isLost) this.fail(new DeviceLostError(`${this.mode}: the device was lost`));
  }

  /** @throws the Error that ended the device, if there is one */
  protected check(): void {
    if (this.#failure === undefined) this.noticeLoss();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #takeAllIdle(): Memory[] {
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    this.#idleBytes = 0;
    return idle;
  }
}

/** gpu.js: its types as far as they are used, how it is loaded, and what its devices share. */
import { type DeviceArray, type DeviceKernel, DeviceLostError, getOrCreate, type KernelSource } from './device.ts';
import { kernelText } from './runner.ts';

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
  computePipeline: unknown;
  bindGroupLayout: unknown;
  outputBuffer: { destroy(): void } | null;
  readonly paramsLayout: { readonly byteLength: number };
  _computeDispatch(threads: number[]): { readonly groups: [number, number, number]; readonly dispatchWidth: number };
}

/** Parts of the WebGPU API; its official types would require the DOM's. */
export interface GpuBufferLike {
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GpuPassLike {
  setPipeline(pipeline: unknown): void;
  setBindGroup(index: number, group: unknown): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
  end(): void;
}

export interface GpuEncoderLike {
  beginComputePass(): GpuPassLike;
  copyBufferToBuffer(from: GpuBufferLike, at: number, to: GpuBufferLike, toAt: number, bytes: number): void;
  finish(): unknown;
}

export interface GpuDeviceLike {
  readonly limits: Readonly<Record<string, number>>;
  readonly queue: {
    submit(commands: unknown[]): void;
    writeBuffer(buffer: GpuBufferLike, at: number, data: ArrayBufferView | ArrayBuffer): void;
  };
  readonly lost: Promise<{ readonly message: string }>;
  createBuffer(description: { size: number; usage: number }): GpuBufferLike;
  createBindGroup(description: unknown): unknown;
  createCommandEncoder(): GpuEncoderLike;
  addEventListener(type: 'uncapturederror', listener: (event: { error: Error }) => void): void;
  removeEventListener(type: 'uncapturederror', listener: (event: { error: Error }) => void): void;
}

export interface GpuContextLike {
  readonly adapter: { readonly info?: Readonly<Record<string, string>> };
  readonly device: GpuDeviceLike;
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
  readonly WebGPUContext: { acquire(): Promise<GpuContextLike>; destroy(): Promise<void> };
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
    this.#failure ??= error;
  }

  /** @throws the Error that ended the device, if there is one */
  protected check(): void {
    if (this.#failure === undefined && this.isLost()) {
      this.fail(new DeviceLostError(`${this.mode}: the device was lost`));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #takeAllIdle(): Memory[] {
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    this.#idleBytes = 0;
    return idle;
  }
}

/** gpu.js's mode webgpu: its compiled kernels, run on storage buffers that stay on the device. */
import {
  cellLength,
  cellsOf,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  DeviceLostError,
  type DeviceStretch,
  type KernelSource,
} from '../device.ts';
import type { GpuBufferLike, GpuContextLike, GpuJs, GpuJsInstance } from '../gpujs.ts';
import { GpuJsDevice, type PooledArray, type PooledMemory } from '../gpujs-device.ts';
import { kernelFunctions } from '../shaders/functions.ts';
import { Commands } from './commands.ts';
import { buildKernel, usage, type WebGpuBuffer, WebGpuKernel } from './kernel.ts';
import { dialect, wholeNumbers } from './language.ts';
import { WorkQueue } from './work-queue.ts';

/** Fixed by the WebGPU specification, like `usage`. */
const mapModeRead = 1;

type Memory = PooledMemory & WebGpuBuffer;

class WebGpuDevice extends GpuJsDevice<WebGpuKernel, Memory> implements Device {
  readonly mode = 'webgpu';
  readonly adapter: string;
  readonly dialect = dialect;
  readonly maxInputs: number;
  readonly maxThreads: readonly [number, number];
  readonly maxLength: number;
  readonly #gpuJs: GpuJs;
  readonly #gpu: GpuJsInstance;
  readonly #context: GpuContextLike;
  readonly #commands: Commands;
  readonly #queue = new WorkQueue((error) => this.fail(error));
  /** Buffers of all arrays whose memory is not destroyed. */
  readonly #buffers = new Set<GpuBufferLike>();
  #nextId = 0;
  readonly #onError = ({ error }: { error: Error }): void => {
    this.fail(new Error(`webgpu: ${error.message}`));
  };

  constructor(gpuJs: GpuJs, context: GpuContextLike) {
    super();
    this.#gpuJs = gpuJs;
    this.#context = context;
    this.#gpu = new gpuJs.GPU({ mode: 'webgpu' });
    for (const { source, ...types } of [...wholeNumbers, ...kernelFunctions]) this.#gpu.addFunction(source, types);
    const { device, adapter } = context;
    this.#commands = new Commands(device);
    const names = ['vendor', 'architecture', 'description'].map((key) => adapter.info?.[key]);
    this.adapter = names.filter((name) => name).join(' ') || 'an adapter without a name';
    const { limits } = device;
    this.maxInputs = limits['maxStorageBuffersPerShaderStage']! - 1;
    const groups = limits['maxComputeWorkgroupsPerDimension']!;
    this.maxThreads = [8 * groups, groups];
    this.maxLength = Math.min(limits['maxStorageBufferBindingSize']!, limits['maxBufferSize']!, 2 ** 31 - 4) / 4;
    device.lost.then(({ message }) => {
      this.fail(new DeviceLostError(`webgpu: the device was lost: ${message || 'no reason given'}`));
    });
    device.addEventListener('uncapturederror', this.#onError);
  }

  /** gpu.js has no kernels with several results in this mode. */
  quarters(): boolean {
    return false;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#take(values.length);
    this.#enqueue(() => {
      // A write overtakes passes that are recorded but not submitted.
      this.#commands.submit();
      this.#context.device.queue.writeBuffer(array.memory.buffer, 0, values);
    });
    return array;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    const own = kernel as WebGpuKernel;
    const result = this.#take(own.source.length);
    const buffers = (inputs as readonly PooledArray<Memory>[]).map(({ memory }) => memory);
    this.#enqueue(() => {
      this.#commands.pass((pass) => own.record(this.#context.device, pass, buffers, result.memory));
    }, own.ready);
    return result;
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    const total = stretches.reduce((sum, { length }) => sum + length, 0);
    if (total === 0) return stretches.map(() => new Float32Array(0));
    const size = total * Float32Array.BYTES_PER_ELEMENT;
    const staging = this.#context.device.createBuffer({ size, usage: usage.mapRead | usage.copyTarget });
    try {
      this.#enqueue(() => this.#copyOut(stretches, staging));
      await this.#queue.drained();
      this.check();
      const values = await this.#mapped(staging);
      let at = 0;
      return stretches.map(({ length }) => {
        at += length;
        return values.slice(at - length, at);
      });
    } finally {
      staging.destroy();
    }
  }

  #copyOut(stretches: readonly DeviceStretch[], staging: GpuBufferLike): void {
    let at = 0;
    for (const { array, offset, length } of stretches) {
      if (length === 0) continue;
      const { buffer } = (array as PooledArray<Memory>).memory;
      this.#commands.encoder.copyBufferToBuffer(buffer, offset * 4, staging, at * 4, length * 4);
      at += length;
    }
    this.#commands.submit();
  }

  async #mapped(staging: GpuBufferLike): Promise<Float32Array> {
    try {
      await staging.mapAsync(mapModeRead);
    } catch (error) {
      // The promise of the loss settles in the same turn as that of the mapping.
      await Promise.resolve();
      this.check();
      throw error;
    }
    this.check();
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return values;
  }

  protected createKernel(source: KernelSource, text: string): WebGpuKernel {
    return new WebGpuKernel(source, buildKernel(this.#gpuJs, this.#gpu, source, text));
  }

  protected destroyMemory(unused: readonly Memory[]): void {
    this.#queue.add(() => {
      this.#commands.submit();
      for (const { buffer } of unused) {
        buffer.destroy();
        this.#buffers.delete(buffer);
      }
      for (const kernel of this.kernels.values()) kernel.forgetBuffers();
    });
  }

  protected isLost(): boolean {
    return this.#context.isLost;
  }

  protected async dispose(): Promise<void> {
    // The device belongs to gpu.js and is shared by all its users on this page.
    this.#context.device.removeEventListener('uncapturederror', this.#onError);
    this.#queue.stop();
    this.#commands.drop();
    for (const kernel of this.kernels.values()) kernel.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    await this.#gpu.destroy().catch(() => {});
  }

  #take(length: number): PooledArray<Memory> {
    this.check();
    const bytes = Math.max(1, cellsOf(length)) * cellLength * Float32Array.BYTES_PER_ELEMENT;
    const idle = this.takeIdle(String(bytes));
    if (idle !== undefined) return { length, memory: idle };
    const flags = usage.storage | usage.copySource | usage.copyTarget;
    const buffer = this.#context.device.createBuffer({ size: bytes, usage: flags });
    this.#buffers.add(buffer);
    return { length, memory: { size: String(bytes), bytes, buffer, id: this.#nextId++ } };
  }

  #enqueue(work: () => void, ready?: Promise<void>): void {
    this.check();
    this.#queue.add(work, ready);
  }
}

/** @throws Error with one sentence if there is no WebGPU, no adapter, or no device */
export async function openWebGpuDevice(gpuJs: GpuJs): Promise<Device> {
  if (!gpuJs.GPU.isWebGPUSupported) {
    throw new Error(
      'there is no WebGPU here (in a browser it needs https or localhost; in Node the package webgpu, which npm run setup gets in a clone of Lockstep)',
    );
  }
  if (!(await gpuJs.GPU.isWebGPUAvailable())) {
    throw new Error('WebGPU finds no adapter here (a GPU, or a software Vulkan driver, that it may use)');
  }
  return new WebGpuDevice(gpuJs, await gpuJs.WebGPUContext.acquire());
}

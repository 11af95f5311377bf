/** gpu.js's mode webgpu: its compiled kernels over storage buffers that stay on the device, recorded into few submits. */
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
import type { GpuBufferLike, GpuContextLike, GpuEncoderLike, GpuJs, GpuJsInstance, GpuJsKernel } from '../gpujs.ts';
import { inputNames, kernelText } from '../kernel-text.ts';
import { kernelFunctions } from '../kernels/functions.ts';
import { dialect, wholeNumbers } from './text.ts';

// Values fixed by the WebGPU specification; the globals that hold them exist only in browsers.
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;
const mapModeRead = 1;

/** Passes recorded before they are handed to the device, so that it starts while more are recorded. */
const passesPerSubmit = 64;
/** Bytes of free buffers kept for the next arrays of their size. */
const idleBytesKept = 256 * 2 ** 20;

class WebGpuArray implements DeviceArray {
  readonly length: number;
  readonly bytes: number;
  readonly buffer: GpuBufferLike;
  readonly id: number;

  constructor(length: number, bytes: number, buffer: GpuBufferLike, id: number) {
    this.length = length;
    this.bytes = bytes;
    this.buffer = buffer;
    this.id = id;
  }
}

class WebGpuKernel implements DeviceKernel {
  readonly source: KernelSource;
  /** Set once gpu.js has built it. */
  built: GpuJsKernel | undefined;
  readonly ready: Promise<void>;
  readonly bindGroups = new Map<string, unknown>();
  parameters: GpuBufferLike | undefined;
  groups: [number, number, number] = [0, 0, 0];

  constructor(source: KernelSource, build: () => Promise<GpuJsKernel>) {
    this.source = source;
    this.ready = build().then((kernel) => {
      this.built = kernel;
    });
    // Whoever waits for it hears of the failure.
    this.ready.catch(() => {});
  }
}

/** Work in the order asked for; it waits where a kernel is not built yet. */
type Work = { readonly kernel?: WebGpuKernel; do(): void };

class WebGpuDevice implements Device {
  readonly mode = 'webgpu';
  readonly adapter: string;
  readonly dialect = dialect;
  readonly maxInputs: number;
  readonly maxThreads: readonly [number, number];
  readonly maxLength: number;
  readonly #gpuJs: GpuJs;
  readonly #gpu: GpuJsInstance;
  readonly #context: GpuContextLike;
  readonly #kernels = new Map<string, WebGpuKernel>();
  readonly #idle = new Map<number, WebGpuArray[]>();
  #idleBytes = 0;
  #nextId = 0;
  #encoder: GpuEncoderLike | undefined;
  #passes = 0;
  readonly #waiting: Work[] = [];
  #pumping: Promise<void> | undefined;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  /** Every buffer of an array that was not destroyed. */
  readonly #buffers = new Set<GpuBufferLike>();
  readonly #onError = ({ error }: { error: { message: string } }): void => {
    this.#failure ??= new Error(`webgpu: ${error.message}`);
  };

  constructor(gpuJs: GpuJs, context: GpuContextLike) {
    this.#gpuJs = gpuJs;
    this.#context = context;
    this.#gpu = new gpuJs.GPU({ mode: 'webgpu' });
    for (const { source, ...types } of [...wholeNumbers, ...kernelFunctions]) this.#gpu.addFunction(source, types);
    const { info } = context.adapter;
    const names = [info?.['vendor'], info?.['architecture'], info?.['description']];
    this.adapter = names.filter((name) => name).join(' ') || 'an adapter without a name';
    const { limits } = context.device;
    this.maxInputs = limits['maxStorageBuffersPerShaderStage']! - 1;
    const groups = limits['maxComputeWorkgroupsPerDimension']!;
    this.maxThreads = [8 * groups, groups];
    this.maxLength = Math.min(limits['maxStorageBufferBindingSize']!, limits['maxBufferSize']!, 2 ** 31 - 4) / 4;
    context.device.lost.then(({ message }) => {
      this.#failure ??= new DeviceLostError(`webgpu: the device was lost: ${message || 'no reason given'}`);
    });
    context.device.addEventListener('uncapturederror', this.#onError);
  }

  /** gpu.js has no kernels with several results in this mode. */
  quarters(): boolean {
    return false;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#take(values.length);
    this.#enqueue({
      do: () => {
        // A write overtakes passes that are recorded but not submitted.
        this.#submit();
        this.#context.device.queue.writeBuffer(array.buffer, 0, values);
      },
    });
    return array;
  }

  compile(source: KernelSource): DeviceKernel {
    const text = kernelText(source);
    const key = `${source.threads.join('x')} ${text}`;
    let kernel = this.#kernels.get(key);
    if (kernel === undefined) {
      kernel = new WebGpuKernel(source, () => this.#build(source, text));
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  async #build({ inputs, threads }: KernelSource, text: string): Promise<GpuJsKernel> {
    const { kernel } = this.#gpu.createKernel(text, {
      output: [...threads],
      precision: 'single',
      pipeline: true,
      argumentTypes: inputNames(inputs).map(() => 'Input'),
      returnType: 'Array(4)',
    });
    await kernel.build(
      ...inputNames(inputs).map(() => new this.#gpuJs.Input(new Float32Array(cellLength), [cellLength])),
    );
    // Results go to arrays of our own.
    kernel.outputBuffer?.destroy();
    kernel.outputBuffer = null;
    return kernel;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    const own = kernel as WebGpuKernel;
    const result = this.#take(own.source.length);
    const read = inputs as readonly WebGpuArray[];
    this.#enqueue({ kernel: own, do: () => this.#record(own, read, result) });
    return result;
  }

  #record(kernel: WebGpuKernel, inputs: readonly WebGpuArray[], result: WebGpuArray): void {
    const { device } = this.#context;
    const built = kernel.built!;
    const parameters = this.#parametersOf(kernel, built);
    const key = [...inputs, result].map((array) => array.id).join(' ');
    let group = kernel.bindGroups.get(key);
    if (group === undefined) {
      const buffers = [parameters, ...inputs.map((array) => array.buffer), result.buffer];
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      group = device.createBindGroup({ layout: built.bindGroupLayout, entries });
      if (kernel.bindGroups.size >= 32) kernel.bindGroups.clear();
      kernel.bindGroups.set(key, group);
    }
    this.#encoder ??= device.createCommandEncoder();
    const pass = this.#encoder.beginComputePass();
    pass.setPipeline(built.computePipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...kernel.groups);
    pass.end();
    this.#passes++;
    if (this.#passes >= passesPerSubmit) this.#submit();
  }

  /** What gpu.js's kernels read beside arrays: their threads, and sizes, which ours never use. */
  #parametersOf(kernel: WebGpuKernel, built: GpuJsKernel): GpuBufferLike {
    if (kernel.parameters !== undefined) return kernel.parameters;
    const { device } = this.#context;
    const { groups, dispatchWidth } = built._computeDispatch([...kernel.source.threads]);
    const words = new Uint32Array(built.paramsLayout.byteLength / 4);
    words.set([...kernel.source.threads, dispatchWidth]);
    const buffer = device.createBuffer({ size: words.byteLength, usage: usage.uniform | usage.copyTarget });
    device.queue.writeBuffer(buffer, 0, words);
    kernel.groups = groups;
    kernel.parameters = buffer;
    return buffer;
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    const { device } = this.#context;
    const total = stretches.reduce((sum, { length }) => sum + length, 0);
    if (total === 0) return stretches.map(() => new Float32Array(0));
    const staging = device.createBuffer({ size: total * 4, usage: usage.mapRead | usage.copyTarget });
    try {
      this.#enqueue({
        do: () => {
          this.#encoder ??= device.createCommandEncoder();
          let at = 0;
          for (const { array, offset, length } of stretches) {
            if (length === 0) continue;
            const { buffer } = array as WebGpuArray;
            this.#encoder.copyBufferToBuffer(buffer, offset * 4, staging, at * 4, length * 4);
            at += length;
          }
          this.#submit();
        },
      });
      await this.#pumping;
      this.#check();
      try {
        await staging.mapAsync(mapModeRead);
      } catch (error) {
        // The promise of the loss settles beside that of the mapping.
        await Promise.resolve();
        this.#check();
        throw error;
      }
      this.#check();
      const values = new Float32Array(staging.getMappedRange().slice(0));
      staging.unmap();
      let at = 0;
      return stretches.map(({ length }) => {
        at += length;
        return values.slice(at - length, at);
      });
    } finally {
      staging.destroy();
    }
  }

  release(array: DeviceArray): void {
    if (this.#closing !== undefined) return;
    const own = array as WebGpuArray;
    const idle = this.#idle.get(own.bytes) ?? [];
    this.#idle.set(own.bytes, idle);
    idle.push(own);
    this.#idleBytes += own.bytes;
    if (this.#idleBytes > idleBytesKept) this.#trim();
  }

  /** Destroys every free buffer, after the work that still uses them. */
  #trim(): void {
    const unused = [...this.#idle.values()].flat();
    this.#idle.clear();
    this.#idleBytes = 0;
    this.#enqueue({
      do: () => {
        this.#submit();
        for (const { buffer } of unused) {
          buffer.destroy();
          this.#buffers.delete(buffer);
        }
        for (const kernel of this.#kernels.values()) kernel.bindGroups.clear();
      },
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#failure ??= new Error('webgpu: the device was closed');
    // The device is gpu.js's, for all that use it on this page.
    this.#context.device.removeEventListener('uncapturederror', this.#onError);
    this.#waiting.length = 0;
    this.#encoder = undefined;
    for (const { parameters } of this.#kernels.values()) parameters?.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#kernels.clear();
    this.#idle.clear();
    this.#buffers.clear();
    await this.#gpu.destroy().catch(() => {});
  }

  /** An array of another release, or a new one. Work in order makes it safe to write again at once. */
  #take(length: number): WebGpuArray {
    this.#check();
    const bytes = Math.max(1, cellsOf(length)) * cellLength * 4;
    const idle = this.#idle.get(bytes)?.pop();
    if (idle !== undefined) {
      this.#idleBytes -= bytes;
      return new WebGpuArray(length, bytes, idle.buffer, idle.id);
    }
    const buffer = this.#context.device.createBuffer({
      size: bytes,
      usage: usage.storage | usage.copySource | usage.copyTarget,
    });
    this.#buffers.add(buffer);
    return new WebGpuArray(length, bytes, buffer, this.#nextId++);
  }

  #submit(): void {
    if (this.#encoder === undefined) return;
    this.#context.device.queue.submit([this.#encoder.finish()]);
    this.#encoder = undefined;
    this.#passes = 0;
  }

  #enqueue(work: Work): void {
    this.#check();
    if (this.#pumping === undefined && (work.kernel === undefined || work.kernel.built !== undefined)) {
      work.do();
      return;
    }
    this.#waiting.push(work);
    this.#pumping ??= this.#pump();
  }

  /** Never rejects: what fails is thrown by whatever is asked of the device next. */
  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const work = this.#waiting[0]!;
        if (work.kernel !== undefined && work.kernel.built === undefined) await work.kernel.ready;
        // Closed meanwhile: nobody wants it any more.
        if (this.#closing !== undefined) break;
        this.#waiting.shift();
        work.do();
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      this.#waiting.length = 0;
    } finally {
      this.#pumping = undefined;
    }
  }

  #check(): void {
    if (this.#failure === undefined && this.#context.isLost) {
      this.#failure = new DeviceLostError('webgpu: the device was lost');
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** @throws Error with one sentence where there is no WebGPU, no adapter, or no device. */
export async function openWebGpuDevice(gpuJs: GpuJs): Promise<Device> {
  if (!gpuJs.GPU.isWebGPUSupported) {
    throw new Error('there is no WebGPU here (in a browser it needs https or localhost, in Node the package webgpu)');
  }
  if (!(await gpuJs.GPU.isWebGPUAvailable())) {
    throw new Error('WebGPU finds no adapter here (a GPU, or a software Vulkan driver, that it may use)');
  }
  return new WebGpuDevice(gpuJs, await gpuJs.WebGPUContext.acquire());
}

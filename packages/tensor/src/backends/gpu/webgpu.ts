/** Shaders on WebGPU: arrays are buffers, and a program is one submit. */
import { DeviceLostError } from '../../backend.ts';
import {
  cellLength,
  cellsOf,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  type DeviceStretch,
  type Dialect,
  type GpuJs,
  type GpuJsContext,
  GpuJsDevice,
  type GpuJsInstance,
  type GpuJsKernel,
  getOrCreate,
  inputNames,
  type KernelSource,
  type PooledArray,
  type PooledMemory,
} from './device.ts';
import { kernelFunction, kernelFunctions } from './shaders.ts';

/** Passes recorded before a submit, so that the device starts while more are recorded. */
const passesPerSubmit = 64;

class Commands {
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #passes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The encoder on which copies are recorded as well. */
  get encoder(): GPUCommandEncoder {
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  pass(record: (pass: GPUComputePassEncoder) => void): void {
    const pass = this.encoder.beginComputePass();
    record(pass);
    pass.end();
    this.#passes++;
    if (this.#passes >= passesPerSubmit) this.submit();
  }

  submit(): void {
    if (this.#encoder === undefined) return;
    this.#device.queue.submit([this.#encoder.finish()]);
    this.drop();
  }

  /** Discards what was recorded but not submitted. */
  drop(): void {
    this.#encoder = undefined;
    this.#passes = 0;
  }
}

class WorkQueue {
  readonly #waiting: { readonly work: () => void; readonly ready: Promise<void> | undefined }[] = [];
  readonly #onFailure: (error: Error) => void;
  #pumping: Promise<void> | undefined;
  #stopped = false;

  /** Reports failures of delayed work to `onFailure`. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  /** Adds work, which runs at once unless `ready` is given or earlier work is still waiting. */
  add(work: () => void, ready?: Promise<void>): void {
    if (this.#pumping === undefined && ready === undefined) {
      work();
      return;
    }
    this.#waiting.push({ work, ready });
    this.#pumping ??= this.#pump();
  }

  /** Resolves when all work requested so far is done or has failed. Never rejects. */
  async drained(): Promise<void> {
    await this.#pumping;
  }

  /** Discards the work that is still waiting. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await this.#waiting[0]!.ready;
        if (this.#stopped) break;
        this.#waiting.shift()!.work();
      }
    } catch (error) {
      this.#onFailure(error instanceof Error ? error : new Error(String(error)));
      this.#waiting.length = 0;
    } finally {
      this.#pumping = undefined;
    }
  }
}

const dialect: Dialect = {
  cell: (input, index) => {
    const values = [0, 1, 2, 3].map((lane) => `a${input}[4 * (${index}) + ${lane}]`);
    return `[${values.join(', ')}]`;
  },
  value: (input, index) => `a${input}[${index}]`,
};

/** Exact whole-number functions: a quotient computed in floats is off by at most one. */
const wholeNumbers = [
  kernelFunction(
    'corrected',
    ['value', 'divisor', 'guess'],
    `return value - guess * divisor < 0 ? guess - 1 : (value - guess * divisor >= divisor ? guess + 1 : guess);`,
    'Integer',
  ),
  kernelFunction(
    'quotient',
    ['value', 'divisor'],
    'return corrected(value, divisor, Math.floor(value / divisor));',
    'Integer',
  ),
  kernelFunction('remainder', ['value', 'divisor'], 'return value - divisor * quotient(value, divisor);', 'Integer'),
  kernelFunction('whole', ['value'], 'return Math.floor(value);', 'Integer', 'Number'),
];

/** Values fixed by the WebGPU specification; the globals that hold them exist only in browsers. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

/** Bind groups cached for recurring combinations of buffers. */
const mostBindGroups = 32;

interface WebGpuBuffer {
  readonly buffer: GPUBuffer;
  /** Unique for each buffer. */
  readonly id: number;
}

class WebGpuKernel implements DeviceKernel {
  readonly source: KernelSource;
  readonly #building: Promise<void>;
  #built: GpuJsKernel | undefined;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #parameters: GPUBuffer | undefined;
  #groups: [number, number, number] = [0, 0, 0];

  constructor(source: KernelSource, building: Promise<GpuJsKernel>) {
    this.source = source;
    this.#building = building.then((kernel) => {
      this.#built = kernel;
    });
    // Work that waits for the kernel reports the failure.
    this.#building.catch(() => {});
  }

  /** Settles when the kernel is built; undefined afterwards. */
  get ready(): Promise<void> | undefined {
    return this.#built === undefined ? this.#building : undefined;
  }

  /** Records a run of the kernel, which must be built. */
  record(device: GPUDevice, pass: GPUComputePassEncoder, inputs: readonly WebGpuBuffer[], result: WebGpuBuffer): void {
    const built = this.#built!;
    this.#parameters ??= this.#writeParameters(device, built);
    const arrays = [...inputs, result];
    if (this.#bindGroups.size >= mostBindGroups) this.forgetBuffers();
    const group = getOrCreate(this.#bindGroups, arrays.map(({ id }) => id).join(' '), () => {
      const buffers = [this.#parameters!, ...arrays.map(({ buffer }) => buffer)];
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      return device.createBindGroup({ layout: built.computePipeline.getBindGroupLayout(0), entries });
    });
    pass.setPipeline(built.computePipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...this.#groups);
  }

  /** Writes the uniforms of gpu.js: the thread counts, and the width of a row of groups; the sizes of arrays are not read here. */
  #writeParameters(device: GPUDevice, built: GpuJsKernel): GPUBuffer {
    const { threads } = this.source;
    const [width, height, depth] = built.workgroupSize;
    const most = device.limits.maxComputeWorkgroupsPerDimension;
    const groups = Math.ceil(threads[0] / width);
    // Threads in one dimension, if they are many, are folded into rows of groups.
    const rows = isFlat(threads) ? Math.ceil(groups / most) : Math.ceil(threads[1] / height);
    const inRow = isFlat(threads) ? Math.ceil(groups / rows) : groups;
    this.#groups = [inRow, rows, Math.ceil(threads[2] / depth)];
    const words = new Uint32Array(built.paramsLayout.byteLength / 4);
    words.set([...threads, inRow * width]);
    const buffer = device.createBuffer({ size: words.byteLength, usage: usage.uniform | usage.copyTarget });
    device.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  /** Must be called before buffers are destroyed, because bind groups hold them. */
  forgetBuffers(): void {
    this.#bindGroups.clear();
  }

  destroy(): void {
    this.#parameters?.destroy();
  }
}

/** Whether threads are counted along x alone, which gpu.js treats differently. */
function isFlat([, y, z]: KernelSource['threads']): boolean {
  return y === 1 && z === 1;
}

async function buildKernel(
  gpuJs: GpuJs,
  gpu: GpuJsInstance,
  { inputs, threads }: KernelSource,
  text: string,
): Promise<GpuJsKernel> {
  const names = inputNames(inputs);
  const { kernel } = gpu.createKernel(text, {
    output: isFlat(threads) ? [threads[0]] : [...threads],
    precision: 'single',
    pipeline: true,
    argumentTypes: names.map(() => 'Input'),
    returnType: 'Array(4)',
  });
  await kernel.build(...names.map(() => new gpuJs.Input(new Float32Array(cellLength), [cellLength])));
  // Results go to our own arrays.
  kernel.outputBuffer?.destroy();
  kernel.outputBuffer = null;
  return kernel;
}

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
  readonly #context: GpuJsContext;
  readonly #commands: Commands;
  readonly #queue = new WorkQueue((error) => this.fail(error));
  /** Buffers of all arrays whose memory is not destroyed. */
  readonly #buffers = new Set<GPUBuffer>();
  #nextId = 0;
  readonly #onError = ({ error }: GPUUncapturedErrorEvent): void => {
    this.fail(new Error(`webgpu: ${error.message}`));
  };

  constructor(gpuJs: GpuJs, context: GpuJsContext) {
    super();
    this.#gpuJs = gpuJs;
    this.#context = context;
    this.#gpu = new gpuJs.GPU({ mode: 'webgpu' });
    for (const { source, ...types } of [...wholeNumbers, ...kernelFunctions]) this.#gpu.addFunction(source, types);
    const { device, adapter } = context;
    this.#commands = new Commands(device);
    const names = (['vendor', 'architecture', 'description'] as const).map((key) => adapter.info?.[key]);
    this.adapter = names.filter((name) => name).join(' ') || 'an adapter without a name';
    const { limits } = device;
    this.maxInputs = limits.maxStorageBuffersPerShaderStage - 1;
    const groups = limits.maxComputeWorkgroupsPerDimension;
    this.maxThreads = [8 * groups, groups];
    this.maxLength = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize, 2 ** 31 - 4) / 4;
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

  #copyOut(stretches: readonly DeviceStretch[], staging: GPUBuffer): void {
    let at = 0;
    for (const { array, offset, length } of stretches) {
      if (length === 0) continue;
      const { buffer } = (array as PooledArray<Memory>).memory;
      this.#commands.encoder.copyBufferToBuffer(buffer, offset * 4, staging, at * 4, length * 4);
      at += length;
    }
    this.#commands.submit();
  }

  async #mapped(staging: GPUBuffer): Promise<Float32Array> {
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
      'WebGPU is not available here (in a browser it needs https or localhost; in Node the package webgpu, which npm run setup gets in a clone of Lockstep)',
    );
  }
  if (!(await gpuJs.GPU.isWebGPUAvailable())) {
    throw new Error('WebGPU found no adapter (a GPU or a software Vulkan driver)');
  }
  return new WebGpuDevice(gpuJs, await gpuJs.WebGPUContext.acquire());
}

/** A compute pipeline of gpu.js, run on our own buffers. */
import { getOrCreate } from '../../get-or-create.ts';
import { cellLength, type DeviceKernel, type KernelSource } from '../device.ts';
import type { GpuBufferLike, GpuDeviceLike, GpuJs, GpuJsInstance, GpuJsKernel, GpuPassLike } from '../gpujs.ts';
import { inputNames } from '../kernel-text.ts';

/** Values fixed by the WebGPU specification; the globals that hold them exist only in browsers. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

/** Bind groups cached for recurring combinations of buffers. */
const mostBindGroups = 32;

export interface WebGpuBuffer {
  readonly buffer: GpuBufferLike;
  /** Unique for each buffer. */
  readonly id: number;
}

export class WebGpuKernel implements DeviceKernel {
  readonly source: KernelSource;
  readonly #building: Promise<void>;
  #built: GpuJsKernel | undefined;
  readonly #bindGroups = new Map<string, unknown>();
  #parameters: GpuBufferLike | undefined;
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
  record(device: GpuDeviceLike, pass: GpuPassLike, inputs: readonly WebGpuBuffer[], result: WebGpuBuffer): void {
    const built = this.#built!;
    this.#parameters ??= this.#writeParameters(device, built);
    const arrays = [...inputs, result];
    if (this.#bindGroups.size >= mostBindGroups) this.forgetBuffers();
    const group = getOrCreate(this.#bindGroups, arrays.map(({ id }) => id).join(' '), () => {
      const buffers = [this.#parameters, ...arrays.map(({ buffer }) => buffer)];
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      return device.createBindGroup({ layout: built.bindGroupLayout, entries });
    });
    pass.setPipeline(built.computePipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...this.#groups);
  }

  /** Writes the uniforms of gpu.js: the thread counts, and the sizes of arrays, which no shader here reads. */
  #writeParameters(device: GpuDeviceLike, built: GpuJsKernel): GpuBufferLike {
    const { threads } = this.source;
    const { groups, dispatchWidth } = built._computeDispatch([...threads]);
    this.#groups = groups;
    const words = new Uint32Array(built.paramsLayout.byteLength / 4);
    words.set([...threads, dispatchWidth]);
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

export async function buildKernel(
  gpuJs: GpuJs,
  gpu: GpuJsInstance,
  { inputs, threads }: KernelSource,
  text: string,
): Promise<GpuJsKernel> {
  const names = inputNames(inputs);
  const { kernel } = gpu.createKernel(text, {
    output: [...threads],
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

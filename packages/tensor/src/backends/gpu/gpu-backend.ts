/** The gpu backend: storages hold values on the device, and programs are gpu.js kernels from values to new values. */
import type { KernelCall, Program, Storage } from '../../backend.ts';
import { checkCopy, dispatch, placed } from '../calls.ts';
import { inOrder, StorageBackend } from '../storage-backend.ts';
import type { Device } from './device.ts';
import { loadGpuJs } from './gpujs.ts';
import { lowerings } from './lowering.ts';
import { CopyOnWriteTensor, Runner, SharedValues } from './runner.ts';
import { openWebGlDevice } from './webgl.ts';
import { openWebGpuDevice } from './webgpu.ts';

/** A backend over one mode of gpu.js. */
export class GpuBackend extends StorageBackend<CopyOnWriteTensor> {
  readonly name: string;
  readonly numericMode: string;
  readonly mode: string;
  readonly adapter: string;
  readonly #device: Device;
  readonly #runner: Runner;

  constructor(name: string, device: Device) {
    super();
    this.name = name;
    this.mode = device.mode;
    this.adapter = device.adapter;
    // exp, log and the order of sums depend on the device, so equal names promise equal bits only on one adapter.
    this.numericMode = `gpu.js ${device.mode} on ${device.adapter}`;
    this.#device = device;
    this.#runner = new Runner(device);
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.#write(storage, values.slice());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const quotients = Float32Array.from({ length: 256 }, (_, byte) => byte / Math.fround(divisor));
    const values = new Float32Array(bytes.length);
    for (let index = 0; index < bytes.length; index++) values[index] = quotients[bytes[index]!]!;
    this.#write(storage, values);
  }

  #write(storage: Storage, values: Float32Array): void {
    const { memory, offset, length } = this.own(storage);
    memory.write(offset, length, new SharedValues(this.#device, length, values));
  }

  /** @throws DeviceLostError if the device was lost */
  async download(storage: Storage): Promise<Float32Array> {
    const { memory, offset, length } = this.own(storage);
    const extents = memory.read(offset, length);
    const onDevice = extents.filter(({ values }) => values.host === undefined);
    // Requested before the first await, so that later writes and releases come after the read.
    const reading = this.#device.read(
      onDevice.map((extent) => ({ array: extent.values.array, offset: extent.start, length: extent.length })),
    );
    const result = new Float32Array(length);
    for (const { values, start, ...extent } of extents) {
      if (values.host !== undefined) {
        result.set(values.host.subarray(start, start + extent.length), extent.offset - offset);
      }
    }
    (await reading).forEach((values, index) => {
      result.set(values, onDevice[index]!.offset - offset);
    });
    return result;
  }

  /**
   * Releases the device, once; this backend cannot be used afterwards. A pending download rejects or still returns its
   * values. Never rejects, even if the device was lost.
   */
  close(): Promise<void> {
    this.#runner.dispose();
    return this.#device.close();
  }

  protected createMemory(length: number): CopyOnWriteTensor {
    if (length > this.#device.maxLength) {
      throw new RangeError(`${this.name}: one storage holds at most ${this.#device.maxLength} values, not ${length}`);
    }
    return new CopyOnWriteTensor(this.#device, length);
  }

  protected releaseMemory(memory: CopyOnWriteTensor): void {
    memory.free();
  }

  protected prepareCalls(calls: readonly KernelCall[]): Pick<Program, 'run'> {
    return inOrder(
      calls.map((call) => {
        const onStretches = placed(call, (storage, length, from) => {
          const { memory, offset } = this.own(storage);
          return { tensor: memory, offset: offset + from, length };
        });
        return dispatch(lowerings, onStretches, this.#runner);
      }),
    );
  }
}

export type GpuMode = 'webgpu' | 'webgl2';

/** @throws Error with one sentence if this mode is unavailable */
export async function openDevice(mode: GpuMode): Promise<Device> {
  const gpuJs = await loadGpuJs();
  return mode === 'webgpu' ? openWebGpuDevice(gpuJs) : openWebGlDevice(gpuJs);
}

/** @throws Error with one sentence if this mode is unavailable */
export async function openGpuMode(name: string, mode: GpuMode): Promise<GpuBackend> {
  return new GpuBackend(name, await openDevice(mode));
}

/** The gpu backend: storages made of values on the device, and programs of gpu.js kernels from values to values. */
import type { Backend, KernelCall, Program, Storage } from '../../backend.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from '../check.ts';
import { prepareCall } from './calls/prepare.ts';
import type { Device } from './device.ts';
import { Pieces, Value } from './pieces.ts';
import { Runner } from './runner.ts';

export class GpuStorage implements Storage {
  readonly owner: GpuBackend;
  readonly length: number;
  readonly offset: number;
  readonly #pieces: Pieces;
  readonly #whole: GpuStorage;
  #freed = false;

  constructor(owner: GpuBackend, length: number, pieces: Pieces, offset = 0, whole?: GpuStorage) {
    this.owner = owner;
    this.length = length;
    this.offset = offset;
    this.#pieces = pieces;
    this.#whole = whole ?? this;
  }

  get pieces(): Pieces {
    if (this.#whole.#freed) throw new Error(`${this.owner.name}: this storage was already freed`);
    return this.#pieces;
  }

  slice(offset: number, length: number): GpuStorage {
    return new GpuStorage(this.owner, length, this.pieces, this.offset + offset, this.#whole);
  }

  free(): void {
    if (this.#whole !== this) {
      throw new Error(`${this.owner.name}: a slice cannot be freed, only the whole storage`);
    }
    this.pieces.free();
    this.#freed = true;
  }
}

/** A backend over one mode of gpu.js. Nothing is read back until `download`. */
export class GpuBackend implements Backend {
  readonly name: string;
  readonly numericMode: string;
  /** gpu.js's name of the mode. */
  readonly mode: string;
  /** Who computes, as the driver says. */
  readonly adapter: string;
  readonly epilogues = true;
  readonly #device: Device;
  readonly #runner: Runner;

  constructor(name: string, device: Device) {
    this.name = name;
    this.mode = device.mode;
    this.adapter = device.adapter;
    // exp, log and the order of sums are the device's own, so equal names promise equal bits only on one adapter.
    this.numericMode = `gpu.js ${device.mode} on ${device.adapter}`;
    this.#device = device;
    this.#runner = new Runner(device);
  }

  allocate(length: number): Storage {
    checkAllocation(length);
    if (length > this.#device.maxLength) {
      throw new RangeError(`${this.name}: one storage holds at most ${this.#device.maxLength} values, not ${length}`);
    }
    return new GpuStorage(this, length, new Pieces(this.#device, length));
  }

  slice(storage: Storage, offset: number, length: number): Storage {
    checkSlice(storage, offset, length);
    return this.#own(storage).slice(offset, length);
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
    const { pieces, offset, length } = this.#own(storage);
    pieces.write(offset, length, Value.onHost(this.#device, values));
  }

  /** @throws DeviceLostError when the device went away. */
  async download(storage: Storage): Promise<Float32Array> {
    const { pieces, offset, length } = this.#own(storage);
    const parts = pieces.read(offset, length);
    const onDevice = parts.filter(({ value }) => value.host === undefined);
    // Asked for before the first await, so that later writes and releases come after it.
    const reading = this.#device.read(
      onDevice.map((part) => ({ array: part.value.array, offset: part.start, length: part.length })),
    );
    const values = new Float32Array(length);
    for (const part of parts) {
      const host = part.value.host?.subarray(part.start, part.start + part.length);
      if (host !== undefined) values.set(host, part.offset - offset);
    }
    (await reading).forEach((stretch, index) => {
      values.set(stretch, onDevice[index]!.offset - offset);
    });
    return values;
  }

  free(storage: Storage): void {
    this.#own(storage).free();
  }

  prepare(calls: readonly KernelCall[]): Program {
    for (const call of calls) checkCall(call);
    const steps = calls.map((call) => prepareCall(this.#runner, call, (storage) => this.#own(storage)));
    return {
      run: () => {
        for (const step of steps) step();
      },
      dispose: () => {
        steps.length = 0;
      },
    };
  }

  /**
   * Gives the device back, once; nothing of this backend can be used afterwards. A download that has not ended rejects, or
   * still gives its values. Never rejects, whatever became of the device.
   */
  close(): Promise<void> {
    this.#runner.dispose();
    return this.#device.close();
  }

  #own(storage: Storage): GpuStorage {
    if (!(storage instanceof GpuStorage) || storage.owner !== this) {
      throw new TypeError(`${this.name}: this storage belongs to another backend`);
    }
    void storage.pieces;
    return storage;
  }
}

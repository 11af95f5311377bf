/** Copy-on-write tensors: they share values and replace them, so that nothing overwrites what a kernel reads. */
import type { Device, DeviceArray } from './device.ts';

/** Immutable values on the device, on the host, or both; freed with the last extent that uses them. */
export class SharedValues {
  readonly length: number;
  readonly #device: Device;
  #host: Float32Array | undefined;
  #array: DeviceArray | undefined;
  #owners = 0;

  /** Host values must not change from now on; they are uploaded when a kernel reads them. */
  constructor(device: Device, length: number, host?: Float32Array, array?: DeviceArray) {
    this.#device = device;
    this.length = length;
    this.#host = host;
    this.#array = array;
  }

  get host(): Float32Array | undefined {
    return this.#host;
  }

  get array(): DeviceArray {
    this.#array ??= this.#device.upload(this.#host!);
    return this.#array;
  }

  retain(): this {
    this.#owners++;
    return this;
  }

  release(): void {
    this.#owners--;
    if (this.#owners > 0) return;
    if (this.#array !== undefined) this.#device.release(this.#array);
    this.#array = undefined;
    this.#host = undefined;
  }
}

/** Positions `offset` to `offset + length` of a tensor, which hold the values from `start` on. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly values: SharedValues;
  readonly start: number;
}

/** A flat tensor made of adjacent extents, in order and without gaps. */
export class CopyOnWriteTensor {
  readonly length: number;
  #extents: readonly Extent[];

  /** Creates a tensor of zeros. */
  constructor(device: Device, length: number) {
    this.length = length;
    const values = new SharedValues(device, length, new Float32Array(length)).retain();
    this.#extents = [{ offset: 0, length, values, start: 0 }];
  }

  /** Returns the extents of a stretch, clipped to it. */
  read(offset: number, length: number): Extent[] {
    const found: Extent[] = [];
    for (const extent of this.#extents) {
      const from = Math.max(extent.offset, offset);
      const to = Math.min(extent.offset + extent.length, offset + length);
      if (from >= to) continue;
      const { values, start } = extent;
      found.push({ offset: from, length: to - from, values, start: start + from - extent.offset });
    }
    return found;
  }

  /** Replaces a stretch with `values`, from their start on. */
  write(offset: number, length: number, values: SharedValues): void {
    values.retain();
    if (length > 0) {
      const end = offset + length;
      const rest = this.read(end, this.length - end);
      this.#replace([...this.read(0, offset), { offset, length, values, start: 0 }, ...rest]);
    }
    values.release();
  }

  free(): void {
    this.#replace([]);
  }

  #replace(extents: readonly Extent[]): void {
    for (const { values } of extents) values.retain();
    for (const { values } of this.#extents) values.release();
    this.#extents = extents;
  }
}

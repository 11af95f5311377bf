/** A storage of the gpu backend: stretches of values that were written, each on the device, on the host, or both. */
import type { Device, DeviceArray } from './device.ts';

/** Values shared by every stretch that shows a part of them; freed with the last. */
export class Value {
  readonly length: number;
  readonly #device: Device;
  #host: Float32Array | undefined;
  #array: DeviceArray | undefined;
  #owners = 0;

  private constructor(device: Device, length: number, host: Float32Array | undefined, array: DeviceArray | undefined) {
    this.#device = device;
    this.length = length;
    this.#host = host;
    this.#array = array;
  }

  /** Values on the host, which nobody changes any more; they go to the device when a kernel reads them. */
  static onHost(device: Device, values: Float32Array): Value {
    return new Value(device, values.length, values, undefined);
  }

  static onDevice(device: Device, array: DeviceArray): Value {
    return new Value(device, array.length, undefined, array);
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

/** Positions `offset` to `offset + length` of a storage hold the value from `start` on. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly value: Value;
  readonly start: number;
}

/** A whole storage as neighboring pieces, in order and without gaps. */
export class Pieces {
  readonly length: number;
  #pieces: readonly Piece[];

  /** What was never written reads as 0. */
  constructor(device: Device, length: number) {
    this.length = length;
    const value = Value.onHost(device, new Float32Array(length)).retain();
    this.#pieces = [{ offset: 0, length, value, start: 0 }];
  }

  /** The pieces of a stretch, cut to it. */
  read(offset: number, length: number): Piece[] {
    const found: Piece[] = [];
    for (const piece of this.#pieces) {
      const cut = cutTo(piece, offset, offset + length);
      if (cut !== undefined) found.push(cut);
    }
    return found;
  }

  /** Replaces a stretch by the value from its start on. */
  write(offset: number, length: number, value: Value): void {
    value.retain();
    if (length === 0) {
      value.release();
      return;
    }
    const next: Piece[] = [];
    let placed = false;
    const place = (): void => {
      if (!placed) next.push({ offset, length, value, start: 0 });
      placed = true;
    };
    const before = this.#pieces;
    for (const piece of before) {
      const left = cutTo(piece, 0, offset);
      const right = cutTo(piece, offset + length, this.length);
      if (left !== undefined) next.push(left);
      if (right !== undefined) {
        place();
        next.push(right);
      }
    }
    place();
    this.#replace(before, next);
    value.release();
  }

  free(): void {
    this.#replace(this.#pieces, []);
  }

  #replace(before: readonly Piece[], next: readonly Piece[]): void {
    for (const piece of next) piece.value.retain();
    this.#pieces = next;
    for (const piece of before) piece.value.release();
  }
}

function cutTo(piece: Piece, from: number, to: number): Piece | undefined {
  const offset = Math.max(piece.offset, from);
  const end = Math.min(piece.offset + piece.length, to);
  if (offset >= end) return undefined;
  return { offset, length: end - offset, value: piece.value, start: piece.start + offset - piece.offset };
}

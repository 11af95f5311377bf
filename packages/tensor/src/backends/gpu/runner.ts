/** Runs kernels over stretches of storages: finds where values lie, joins what lies apart, keeps compiled kernels. */
import type { Device, DeviceArray, DeviceKernel, KernelSource } from './device.ts';
import type { Source } from './kernels/cells.ts';
import { joinKernel } from './kernels/join.ts';
import { type Piece, type Pieces, Value } from './pieces.ts';

/** A storage, or a slice of one, as this backend has it. */
export interface Stretch {
  readonly pieces: Pieces;
  readonly offset: number;
  readonly length: number;
}

/** What a kernel of one call reads: each array once, and where in them each operand lies. */
export interface Operands {
  readonly arrays: readonly DeviceArray[];
  readonly sources: readonly Source[];
  /** Tells apart what needs another kernel. */
  readonly key: string;
}

/** Where values without a literal lie in the array of specials. */
const specialValues = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];

export class Runner {
  readonly device: Device;
  #specials: DeviceArray | undefined;
  readonly #joins = new Map<string, DeviceKernel>();

  constructor(device: Device) {
    this.device = device;
  }

  /** NaN, infinity and -infinity, which drivers may lose when they stand in a kernel's text. */
  get specials(): DeviceArray {
    this.#specials ??= this.device.upload(Float32Array.from(specialValues));
    return this.#specials;
  }

  /** Where the values of each stretch lie now. A stretch that was written in parts is joined first. */
  operands(stretches: readonly Stretch[], more: readonly DeviceArray[] = []): Operands {
    const arrays: DeviceArray[] = [];
    const sources = stretches.map((stretch) => {
      const { value, start } = this.#whole(stretch);
      const { array } = value;
      const known = arrays.indexOf(array);
      return { input: known >= 0 ? known : arrays.push(array) - 1, offset: start };
    });
    arrays.push(...more);
    if (arrays.length > this.device.maxInputs) return this.#together(stretches, more);
    return { arrays, sources, key: sources.map(({ input, offset }) => `${input}:${offset}`).join(' ') };
  }

  /** Too many arrays for one kernel: the stretches are joined into one. */
  #together(stretches: readonly Stretch[], more: readonly DeviceArray[]): Operands {
    const parts = stretches.map((stretch) => this.#whole(stretch));
    const value = this.#join(parts).retain();
    let offset = 0;
    const sources = parts.map(({ length }) => {
      offset += length;
      return { input: 0, offset: offset - length };
    });
    const { array } = value;
    // Work comes in order, so the array may be given back before the kernel that reads it has run.
    value.release();
    return { arrays: [array, ...more], sources, key: sources.map((source) => source.offset).join(' ') };
  }

  #whole({ pieces, offset, length }: Stretch): Piece {
    const found = pieces.read(offset, length);
    if (found.length === 1) return found[0]!;
    if (found.length === 0)
      return { offset, length: 0, value: Value.onHost(this.device, new Float32Array(0)), start: 0 };
    const value = this.#join(found);
    pieces.write(offset, length, value);
    return { offset, length, value, start: 0 };
  }

  /** The pieces one after another. */
  #join(pieces: readonly Piece[]): Value {
    if (pieces.every(({ value }) => value.host !== undefined)) {
      const values = new Float32Array(pieces.reduce((total, { length }) => total + length, 0));
      let at = 0;
      for (const { value, start, length } of pieces) {
        values.set(value.host!.subarray(start, start + length), at);
        at += length;
      }
      return Value.onHost(this.device, values);
    }
    const arrays: DeviceArray[] = [];
    const parts = pieces.map(({ value, start, length }) => {
      const { array } = value;
      const known = arrays.indexOf(array);
      return { input: known >= 0 ? known : arrays.push(array) - 1, start, length };
    });
    const most = this.device.maxInputs;
    if (arrays.length > most) {
      const first = this.#join(pieces.slice(0, most)).retain();
      const { length } = first;
      const joined = this.#join([{ offset: 0, length, value: first, start: 0 }, ...pieces.slice(most)]);
      first.release();
      return joined;
    }
    const key = parts.map(({ input, start, length }) => `${input}:${start}+${length}`).join(' ');
    let kernel = this.#joins.get(key);
    if (kernel === undefined) {
      kernel = this.device.compile(joinKernel(parts, arrays.length, this.device.dialect));
      this.#joins.set(key, kernel);
    }
    return Value.onDevice(this.device, this.device.run(kernel, arrays));
  }

  /** A function that compiles a kernel at its first use for a key. */
  kernels(): (key: string, source: () => KernelSource) => DeviceKernel {
    const compiled = new Map<string, DeviceKernel>();
    return (key, source) => {
      let kernel = compiled.get(key);
      if (kernel === undefined) {
        kernel = this.device.compile(source());
        compiled.set(key, kernel);
      }
      return kernel;
    };
  }

  /** Puts an array in place of what a stretch held. */
  write({ pieces, offset, length }: Stretch, array: DeviceArray): void {
    pieces.write(offset, length, Value.onDevice(this.device, array));
  }

  dispose(): void {
    if (this.#specials !== undefined) this.device.release(this.#specials);
    this.#specials = undefined;
  }
}

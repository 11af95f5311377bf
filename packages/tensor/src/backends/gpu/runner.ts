/** Runs launches on a device, and copies what is written while it is still read. */
import { type Device, type DeviceArray, type DeviceKernel, getOrCreate, type KernelSource } from './device.ts';
import { concatenateShader, type Source, specialValues } from './shaders.ts';

/** Values `offset` to `offset + length` of a tensor. */
export interface Stretch {
  readonly tensor: CopyOnWriteTensor;
  readonly offset: number;
  readonly length: number;
}

/** Inputs of one call's kernel: each array once, and the position of each operand in them. */
export interface Operands {
  readonly arrays: readonly DeviceArray[];
  readonly sources: readonly Source[];
  /** Calls with equal keys can use the same kernel. */
  readonly key: string;
}

export class Runner {
  readonly device: Device;
  #specials: DeviceArray | undefined;
  readonly #concatenations = this.kernels();

  constructor(device: Device) {
    this.device = device;
  }

  /** `specialValues` on the device, because drivers may not preserve them in a kernel's text. */
  get specials(): DeviceArray {
    this.#specials ??= this.device.upload(Float32Array.from(specialValues));
    return this.#specials;
  }

  /** Locates the current values of each stretch. Joins a stretch that was written in parts. */
  operands(stretches: readonly Stretch[], more: readonly DeviceArray[] = []): Operands {
    const extents = stretches.map((stretch) => this.#whole(stretch));
    const { arrays, sources } = sourcesOf(extents);
    if (arrays.length + more.length > this.device.maxInputs) return this.#joined(extents, more);
    const key = sources.map(({ input, offset }) => `${input}:${offset}`).join(' ');
    return { arrays: [...arrays, ...more], sources, key };
  }

  /** Joins all stretches into one array, because a kernel cannot read that many arrays. */
  #joined(extents: readonly Extent[], more: readonly DeviceArray[]): Operands {
    const values = this.#concatenate(extents).retain();
    let offset = 0;
    const sources = extents.map(({ length }) => {
      offset += length;
      return { input: 0, offset: offset - length };
    });
    const { array } = values;
    // Work runs in order, so the array may be released before the kernel that reads it has run.
    values.release();
    return { arrays: [array, ...more], sources, key: sources.map((source) => source.offset).join(' ') };
  }

  #whole({ tensor, offset, length }: Stretch): Extent {
    const extents = tensor.read(offset, length);
    if (extents.length === 1) return extents[0]!;
    const values = this.#concatenate(extents);
    if (length > 0) tensor.write(offset, length, values);
    return { offset, length, values, start: 0 };
  }

  #concatenate(extents: readonly Extent[]): SharedValues {
    if (extents.every(({ values }) => values.host !== undefined)) {
      const joined = new Float32Array(extents.reduce((total, { length }) => total + length, 0));
      let at = 0;
      for (const { values, start, length } of extents) {
        joined.set(values.host!.subarray(start, start + length), at);
        at += length;
      }
      return new SharedValues(this.device, joined.length, joined);
    }
    const { arrays, sources } = sourcesOf(extents);
    const most = this.device.maxInputs;
    if (arrays.length > most) {
      const values = this.#concatenate(extents.slice(0, most)).retain();
      const first = { offset: 0, length: values.length, values, start: 0 };
      const joined = this.#concatenate([first, ...extents.slice(most)]);
      values.release();
      return joined;
    }
    const parts = sources.map((source, index) => ({ ...source, length: extents[index]!.length }));
    const key = parts.map(({ input, offset, length }) => `${input}:${offset}+${length}`).join(' ');
    const kernel = this.#concatenations(key, () => concatenateShader(parts, arrays.length, this.device));
    return this.#onDevice(this.device.run(kernel, arrays));
  }

  #onDevice(array: DeviceArray): SharedValues {
    return new SharedValues(this.device, array.length, undefined, array);
  }

  /** Returns a new cache for the kernels of one call, which compiles each on first use. */
  kernels(): (key: string, source: () => KernelSource) => DeviceKernel {
    const compiled = new Map<string, DeviceKernel>();
    return (key, source) => getOrCreate(compiled, key, () => this.device.compile(source()));
  }

  /**
   * Returns a function that runs a kernel over the current values of the stretches. `write` gets the positions of the
   * values and the number of arrays. If `withSpecials` is set, the last array holds the special values.
   */
  over(
    stretches: readonly Stretch[],
    write: (sources: readonly Source[], inputs: number) => KernelSource,
    withSpecials = false,
  ): () => DeviceArray {
    const kernels = this.kernels();
    return () => {
      const { arrays, sources, key } = this.operands(stretches, withSpecials ? [this.specials] : []);
      const kernel = kernels(key, () => write(sources, arrays.length));
      return this.device.run(kernel, arrays);
    };
  }

  /** Returns a function that fills a stretch with one value. */
  fill(stretch: Stretch, value: number): () => void {
    const values = new Float32Array(stretch.length).fill(value);
    return () => this.write(stretch, this.device.upload(values));
  }

  /** Runs a kernel over an array and releases that array. */
  consume(kernel: DeviceKernel, array: DeviceArray): DeviceArray {
    const result = this.device.run(kernel, [array]);
    this.device.release(array);
    return result;
  }

  /** Replaces the values of a stretch with an array. */
  write({ tensor, offset, length }: Stretch, array: DeviceArray): void {
    tensor.write(offset, length, this.#onDevice(array));
  }

  dispose(): void {
    if (this.#specials !== undefined) this.device.release(this.#specials);
    this.#specials = undefined;
  }
}

/** Returns the arrays of extents, each once, and the position of each extent in them. */
function sourcesOf(extents: readonly Extent[]): { readonly arrays: DeviceArray[]; readonly sources: Source[] } {
  const arrays: DeviceArray[] = [];
  const sources = extents.map(({ values: { array }, start }) => {
    const known = arrays.indexOf(array);
    return { input: known >= 0 ? known : arrays.push(array) - 1, offset: start };
  });
  return { arrays, sources };
}

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
interface Extent {
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

/** Runs kernels over stretches of tensors: finds where values lie, joins what lies apart, keeps compiled kernels. */
import { getOrCreate } from '../get-or-create.ts';
import { type CopyOnWriteTensor, type Extent, SharedValues } from './copy-on-write.ts';
import type { Device, DeviceArray, DeviceKernel, KernelSource } from './device.ts';
import type { Source } from './shaders/code.ts';
import { concatenateShader } from './shaders/concatenate.ts';
import { specialValues } from './shaders/map.ts';

/** Values `offset` to `offset + length` of a tensor. */
export interface Stretch {
  readonly tensor: CopyOnWriteTensor;
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

export class Runner {
  readonly device: Device;
  #specials: DeviceArray | undefined;
  readonly #concatenations = this.kernels();

  constructor(device: Device) {
    this.device = device;
  }

  /** `specialValues`, which drivers may lose when they stand in a kernel's text. */
  get specials(): DeviceArray {
    this.#specials ??= this.device.upload(Float32Array.from(specialValues));
    return this.#specials;
  }

  /** Where the values of each stretch lie now. A stretch that was written in parts is joined first. */
  operands(stretches: readonly Stretch[], more: readonly DeviceArray[] = []): Operands {
    const extents = stretches.map((stretch) => this.#whole(stretch));
    const { arrays, sources } = sourcesOf(extents);
    if (arrays.length + more.length > this.device.maxInputs) return this.#joined(extents, more);
    const key = sources.map(({ input, offset }) => `${input}:${offset}`).join(' ');
    return { arrays: [...arrays, ...more], sources, key };
  }

  /** Too many arrays for one kernel: the stretches are joined into one. */
  #joined(extents: readonly Extent[], more: readonly DeviceArray[]): Operands {
    const values = this.#concatenate(extents).retain();
    let offset = 0;
    const sources = extents.map(({ length }) => {
      offset += length;
      return { input: 0, offset: offset - length };
    });
    const { array } = values;
    // Work comes in order, so the array may be given back before the kernel that reads it has run.
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

  /** A new cache, for the kernels of one call: gives them by key, compiled at their first use. */
  kernels(): (key: string, source: () => KernelSource) => DeviceKernel {
    const compiled = new Map<string, DeviceKernel>();
    return (key, source) => getOrCreate(compiled, key, () => this.device.compile(source()));
  }

  /**
   * A function that runs a kernel over what the stretches hold when it is called. `write` gets where they lie and how many
   * arrays there are; the last one holds the specials where `withSpecials`.
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

  /** A function that leaves the same value everywhere in a stretch. */
  fill(stretch: Stretch, value: number): () => void {
    const values = new Float32Array(stretch.length).fill(value);
    return () => this.write(stretch, this.device.upload(values));
  }

  /** Runs a kernel over an array that is not needed afterwards. */
  consume(kernel: DeviceKernel, array: DeviceArray): DeviceArray {
    const result = this.device.run(kernel, [array]);
    this.device.release(array);
    return result;
  }

  /** Puts an array in place of what a stretch held. */
  write({ tensor, offset, length }: Stretch, array: DeviceArray): void {
    tensor.write(offset, length, this.#onDevice(array));
  }

  dispose(): void {
    if (this.#specials !== undefined) this.device.release(this.#specials);
    this.#specials = undefined;
  }
}

/** The arrays of extents, each once, and where in them each extent begins. */
function sourcesOf(extents: readonly Extent[]): { readonly arrays: DeviceArray[]; readonly sources: Source[] } {
  const arrays: DeviceArray[] = [];
  const sources = extents.map(({ values: { array }, start }) => {
    const known = arrays.indexOf(array);
    return { input: known >= 0 ? known : arrays.push(array) - 1, offset: start };
  });
  return { arrays, sources };
}

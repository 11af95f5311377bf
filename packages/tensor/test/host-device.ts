/** A device of plain JavaScript: it runs the kernels' source text unchanged, which tests them without a GPU. */
import {
  cellLength,
  cellsOf,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  type DeviceStretch,
  inputNames,
  type KernelSource,
} from '../src/backends/gpu/device.ts';
import { kernelFunctions } from '../src/backends/gpu/shaders.ts';

type Thread = { readonly thread: { x: number; y: number; z: number } };
type Part = (...values: number[]) => void;
type Compiled = (parts: readonly Part[]) => (this: Thread, ...arrays: Float32Array[]) => readonly number[];

class HostArray implements DeviceArray {
  readonly length: number;
  values: Float32Array | undefined;

  constructor(length: number) {
    this.length = length;
    this.values = new Float32Array(cellsOf(length) * cellLength);
  }

  /** The values; throws if the array was already released. */
  get alive(): Float32Array {
    if (this.values === undefined) throw new Error('test device: this array was already released');
    return this.values;
  }
}

interface HostKernel extends DeviceKernel {
  readonly withParts: Compiled;
}

/** Functions that each mode defines in its own language. */
const wholeNumbers = `
const quotient = (value, divisor) => Math.floor(value / divisor);
const remainder = (value, divisor) => value - divisor * Math.floor(value / divisor);
const whole = (value) => Math.floor(value);
`;

function compileText({ inputs, body }: KernelSource): Compiled {
  const helpers = kernelFunctions.map(({ source }) => source).join('\n');
  const text = `${wholeNumbers}${helpers}\nreturn function (${inputNames(inputs).join(', ')}) {\n${body}\n};`;
  return new Function('[part1, part2, part3]', text) as Compiled;
}

export class HostDevice implements Device {
  readonly lost = new Promise<never>(() => {});
  readonly mode = 'javascript';
  readonly adapter = 'a test';
  readonly maxInputs: number;
  readonly maxThreads: readonly [number, number];
  readonly maxLength = 2 ** 24;
  readonly dialect = {
    cell: (input: number, index: string) => `[0, 1, 2, 3].map((lane) => a${input}[4 * (${index}) + lane])`,
    value: (input: number, index: string) => `a${input}[${index}]`,
  };
  /** Number of arrays that are not released yet. */
  held = 0;
  /** Number of kernel runs so far. */
  runs = 0;

  constructor(maxInputs = 8, maxThreads: readonly [number, number] = [1000, 1000]) {
    this.maxInputs = maxInputs;
    this.maxThreads = maxThreads;
  }

  quarters(length: number): boolean {
    return length % 16 === 0;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#made(values.length);
    array.alive.set(values);
    return array;
  }

  compile(source: KernelSource): DeviceKernel {
    return { source, withParts: compileText(source) } as HostKernel;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    const { source, withParts } = kernel as HostKernel;
    if (inputs.length !== source.inputs) throw new Error(`expected ${source.inputs} arrays, got ${inputs.length}`);
    if (inputs.length > this.maxInputs) throw new Error(`${inputs.length} arrays are more than a kernel may read`);
    const arrays = inputs.map((input) => (input as HostArray).alive);
    const result = this.#made(source.length);
    const [width, height, depth] = source.threads;
    const threads = width * height * depth;
    if (threads * (source.quartered ? 4 : 1) !== cellsOf(source.length)) {
      throw new Error(`${source.threads} threads are not the cells of ${source.length} values`);
    }
    let cell = 0;
    let handed = 0;
    const parts = [1, 2, 3].map((part) => (...values: number[]) => {
      if (values.length !== cellLength) throw new Error(`a thread handed on ${values.length} values`);
      result.alive.set(values, (cell + part * threads) * cellLength);
      handed++;
    });
    const run = withParts(parts);
    for (let z = 0; z < depth; z++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const values = run.apply({ thread: { x, y, z } }, arrays);
          if (values.length !== cellLength) throw new Error(`a thread gave ${values.length} values`);
          result.alive.set(values, cell * cellLength);
          cell++;
          if (handed !== (source.quartered ? 3 * cell : 0)) throw new Error(`a thread handed on ${handed} cells`);
        }
      }
    }
    this.runs++;
    return result;
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    return stretches.map(({ array, offset, length }) => (array as HostArray).alive.slice(offset, offset + length));
  }

  release(array: DeviceArray): void {
    void (array as HostArray).alive;
    (array as HostArray).values = undefined;
    this.held--;
  }

  async close(): Promise<void> {}

  #made(length: number): HostArray {
    this.held++;
    return new HostArray(length);
  }
}

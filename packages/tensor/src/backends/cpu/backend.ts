/** The cpu backend: WebAssembly SIMD kernels over one memory, with the bits of the reference. */
import type { Call, CrossEntropyCall, HostBackend, MapCall, Program, Storage } from '../../backend.ts';
import { noteChange, noteSlice } from '../../changes.ts';
import { sizeOf } from '../../shape.ts';
import { batchOffsets } from '../batches.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from '../check.ts';
import { separateArithmetic } from '../reference/backend.ts';
import { Allocator } from './allocator.ts';
import { createMapProgram } from './mapProgram.ts';
import { instantiateKernels, type Kernels, type WasmMemory } from './webassembly.ts';
import { convolutionDescriptor, poolDescriptor, type WindowDescriptor } from './windowSteps.ts';

const bytesPerValue = 4;

class CpuStorage implements Storage {
  readonly owner: CpuBackend;
  readonly length: number;
  readonly #address: number;
  readonly #whole: CpuStorage;
  #freed = false;

  constructor(owner: CpuBackend, address: number, length: number, whole?: CpuStorage) {
    this.owner = owner;
    this.#address = address;
    this.length = length;
    this.#whole = whole ?? this;
  }

  get address(): number {
    if (this.#whole.#freed) throw new Error('cpu: this storage was already freed');
    return this.#address;
  }

  slice(offset: number, length: number): CpuStorage {
    return new CpuStorage(this.owner, this.address + offset * bytesPerValue, length, this.#whole);
  }

  /** Marks it freed and returns the address of its block. */
  free(): number {
    if (this.#whole !== this) throw new Error('cpu: a slice cannot be freed, only the whole storage');
    const { address } = this;
    this.#freed = true;
    return address;
  }
}

/** One call made ready: a function without arguments, and the blocks that it needs as long as it may run. */
interface Step {
  readonly run: () => void;
  readonly blocks: readonly number[];
}

class CpuBackend implements HostBackend {
  readonly name = 'cpu';
  readonly arithmetic = separateArithmetic;
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;
  readonly #allocator: Allocator;

  constructor(kernels: Kernels, memory: WasmMemory) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#allocator = new Allocator(memory, kernels.workspaceEnd());
  }

  allocate(length: number): Storage {
    checkAllocation(length);
    return new CpuStorage(this, this.#allocator.allocate(length * bytesPerValue), length);
  }

  slice(storage: Storage, offset: number, length: number): Storage {
    checkSlice(storage, offset, length);
    const slice = this.#own(storage).slice(offset, length);
    noteSlice(slice, storage, offset);
    return slice;
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.view(storage).set(values);
    noteChange(storage);
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const { address, length } = this.#own(storage);
    const lastQuarter = address + (bytesPerValue - 1) * length;
    new Uint8Array(this.#memory.buffer, lastQuarter, length).set(bytes);
    this.#kernels.bytesToFloats(lastQuarter, address, length, divisor);
    noteChange(storage);
  }

  async download(storage: Storage): Promise<Float32Array> {
    return this.view(storage).slice();
  }

  free(storage: Storage): void {
    this.#allocator.release(this.#own(storage).free());
  }

  prepare(calls: readonly Call[]): Program {
    const steps = calls.map((call) => {
      checkCall(call);
      return this.#prepareCall(call);
    });
    const runs = steps.map((step) => step.run);
    const blocks = steps.flatMap((step) => step.blocks);
    return {
      run: () => {
        for (let index = 0; index < runs.length; index++) runs[index]!();
      },
      dispose: () => {
        for (const block of blocks.splice(0)) this.#allocator.release(block);
        runs.length = 0;
      },
    };
  }

  view(storage: Storage): Float32Array {
    const { address, length } = this.#own(storage);
    return new Float32Array(this.#memory.buffer, address, length);
  }

  allFinite(storage: Storage): boolean {
    const { address, length } = this.#own(storage);
    return this.#kernels.allFinite(address, length) !== 0;
  }

  #own(storage: Storage): CpuStorage {
    if (!(storage instanceof CpuStorage) || storage.owner !== this) {
      throw new TypeError('cpu: this storage belongs to another backend');
    }
    return storage;
  }

  #address(storage: Storage): number {
    return this.#own(storage).address;
  }

  #prepareCall(call: Call): Step {
    const kernels = this.#kernels;
    switch (call.kind) {
      case 'map':
        return this.#prepareMap(call);
      case 'reduce': {
        const { reduction, outer, length, inner } = call;
        const [input, output] = [this.#address(call.input), this.#address(call.output)];
        return { run: () => kernels[reduction](outer, length, inner, input, output), blocks: [] };
      }
      case 'matmul': {
        const { m, k, n } = call;
        const [left, right, output] = [this.#address(call.left), this.#address(call.right), this.#address(call.output)];
        const [turnLeft, turnRight] = [Number(call.transposeLeft), Number(call.transposeRight)];
        if (call.batch === undefined) {
          return { run: () => kernels.matmul(m, k, n, left, right, turnLeft, turnRight, output), blocks: [] };
        }
        const batches = batchOffsets(call).map((at) => ({
          left: left + bytesPerValue * at.left,
          right: right + bytesPerValue * at.right,
          output: output + bytesPerValue * at.output,
        }));
        const run = (): void => {
          for (let index = 0; index < batches.length; index++) {
            const at = batches[index]!;
            kernels.matmul(m, k, n, at.left, at.right, turnLeft, turnRight, at.output);
          }
        };
        return { run, blocks: [] };
      }
      case 'crossEntropy':
        return this.#prepareCrossEntropy(call);
      case 'gather':
      case 'scatterAdd': {
        const { kind, outer, length, inner, count } = call;
        const own = Number(call.ownIndices);
        const [input, indices, output] = [call.input, call.indices, call.output].map((of) => this.#address(of)) as [
          number,
          number,
          number,
        ];
        return { run: () => kernels[kind](outer, length, inner, count, own, input, indices, output), blocks: [] };
      }
      case 'random': {
        const { rows, columns, stream } = call;
        const [key, samples, output] = [
          this.#address(call.key),
          this.#address(call.samples),
          this.#address(call.output),
        ];
        return { run: () => kernels.random(rows, columns, stream, key, samples, output), blocks: [] };
      }
      case 'convolution': {
        const { left, right, output } = call;
        const [at, from, to] = [this.#address(left), this.#address(right), this.#address(output)];
        return this.#described('convolution', convolutionDescriptor(call, { left: at, right: from, output: to }));
      }
      case 'pool':
      case 'unpool': {
        const won = 'winners' in call ? this.#address(call.winners) : 0;
        const addresses = { input: this.#address(call.input), output: this.#address(call.output), winners: won };
        return this.#described(call.kind, poolDescriptor(call, addresses));
      }
      default:
        return call satisfies never;
    }
  }

  #described(kernel: 'convolution' | 'pool' | 'unpool', descriptor: WindowDescriptor): Step {
    const address = this.#allocator.allocate(descriptor.bytes);
    descriptor.write(this.#memory.buffer, address);
    const run = this.#kernels[kernel];
    return { run: () => run(address), blocks: [address] };
  }

  #prepareMap(call: MapCall): Step {
    if (sizeOf(call.shape) === 0) return { run: () => {}, blocks: [] };
    const program = createMapProgram(call);
    const inputs = call.inputs.map((view) => this.#address(view.storage));
    const output = this.#address(call.output);
    const descriptor = this.#allocator.allocate(program.bytes);
    program.write(this.#memory.buffer, descriptor, inputs, output);
    const kernels = this.#kernels;
    return { run: () => kernels.map(descriptor), blocks: [descriptor] };
  }

  #prepareCrossEntropy({ rows, classes, ...storages }: CrossEntropyCall): Step {
    const [logits, labels, losses] = [storages.logits, storages.labels, storages.losses].map((storage) =>
      this.#address(storage),
    ) as [number, number, number];
    const rowBytes = classes * bytesPerValue;
    const kernels = this.#kernels;
    if (storages.gradient !== undefined) {
      const gradient = this.#address(storages.gradient);
      const run = (): void => kernels.crossEntropy(rows, classes, logits, labels, losses, gradient, rowBytes);
      return { run, blocks: [] };
    }
    const row = this.#allocator.allocate(rowBytes);
    return { run: () => kernels.crossEntropy(rows, classes, logits, labels, losses, row, 0), blocks: [row] };
  }
}

/** Opens the cpu backend, each time over a memory of its own. @throws where the engine has no WebAssembly SIMD. */
export async function createCpuBackend(): Promise<HostBackend> {
  const { kernels, memory } = await instantiateKernels();
  return new CpuBackend(kernels, memory);
}

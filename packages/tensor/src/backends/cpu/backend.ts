/** The cpu backend: WebAssembly SIMD kernels over one memory, with the bits of the reference. */
import type {
  ByteTable,
  ConvolutionCall,
  CrossEntropyCall,
  HostBackend,
  KernelCall,
  MapCall,
  MatmulCall,
  Program,
  Storage,
} from '../../backend.ts';
import { noteChange, noteSlice } from '../../changes.ts';
import { sizeOf } from '../../shape.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from '../check.ts';
import { separateNumericMode } from '../reference/backend.ts';
import { inSegments, type SegmentMemory } from '../segments.ts';
import { Allocator } from './allocator.ts';
import { CpuByteTable } from './byte-table.ts';
import { createMapProgram } from './map-program.ts';
import { matmulRun, type ProductAddresses, sumsInSegments } from './matmul-step.ts';
import { instantiateKernels, type Kernels, type WasmMemory } from './webassembly.ts';
import { convolutionDescriptor, poolDescriptor, type WindowDescriptor } from './window-steps.ts';

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
  readonly name: string;
  readonly numericMode: string;
  readonly epilogues = true;
  readonly microbatchSums = true;
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;
  readonly #allocator: Allocator;

  constructor(name: string, numericMode: string, kernels: Kernels, memory: WasmMemory) {
    this.name = name;
    this.numericMode = numericMode;
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
    this.#convert(storage, bytes.length, divisor, (address) => {
      new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes);
    });
  }

  byteTable(rows: number, columns: number): ByteTable {
    const convert = this.#convert.bind(this);
    return new CpuByteTable(
      { kernels: this.#kernels, memory: this.#memory, allocator: this.#allocator, convert },
      rows,
      columns,
    );
  }

  async download(storage: Storage): Promise<Float32Array> {
    return this.view(storage).slice();
  }

  free(storage: Storage): void {
    this.#allocator.release(this.#own(storage).free());
  }

  prepare(calls: readonly KernelCall[]): Program {
    calls.forEach(checkCall);
    const scratch: Storage[] = [];
    const memory: SegmentMemory = {
      slice: (storage, offset, length) => this.#own(storage).slice(offset, length),
      scratch: (length) => {
        const storage = this.allocate(length);
        scratch.push(storage);
        return storage;
      },
    };
    const steps = calls
      .flatMap((call) => (call.kind === 'matmul' && sumsInSegments(call) ? [call] : inSegments(call, memory)))
      .map((call) => this.#prepareCall(call));
    const runs = steps.map((step) => step.run);
    const blocks = steps.flatMap((step) => step.blocks);
    return {
      run: () => {
        for (let index = 0; index < runs.length; index++) runs[index]!();
      },
      dispose: () => {
        for (const block of blocks.splice(0)) this.#allocator.release(block);
        for (const storage of scratch.splice(0)) this.free(storage);
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

  /** Has bytes written into the last quarter of the storage, and spreads them over all of it as floats. */
  #convert(storage: Storage, count: number, divisor: number, write: (address: number) => void): void {
    checkCopy(storage, count);
    const { address, length } = this.#own(storage);
    const lastQuarter = address + (bytesPerValue - 1) * length;
    write(lastQuarter);
    this.#kernels.bytesToFloats(lastQuarter, address, length, divisor);
    noteChange(storage);
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

  #prepareCall(call: KernelCall): Step {
    const kernels = this.#kernels;
    switch (call.kind) {
      case 'map':
        return this.#prepareMap(call);
      case 'reduce': {
        const { reduction, outer, length, inner } = call;
        const [input, output] = [this.#address(call.input), this.#address(call.output)];
        return { run: () => kernels[reduction](outer, length, inner, input, output), blocks: [] };
      }
      case 'matmul':
        return { run: matmulRun(kernels, call, this.#productAddresses(call)), blocks: [] };
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
      case 'convolution':
        return this.#described('convolution', convolutionDescriptor(call, this.#productAddresses(call)));
      case 'pool':
      case 'unpool': {
        const won = 'argmaxIndices' in call ? this.#address(call.argmaxIndices) : 0;
        const addresses = { input: this.#address(call.input), output: this.#address(call.output), argmaxIndices: won };
        return this.#described(call.kind, poolDescriptor(call, addresses));
      }
      default:
        return call satisfies never;
    }
  }

  #productAddresses({ left, right, output, epilogue }: MatmulCall | ConvolutionCall): ProductAddresses {
    return {
      left: this.#address(left),
      right: this.#address(right),
      output: this.#address(output),
      bias: epilogue?.bias === undefined ? 0 : this.#address(epilogue.bias),
    };
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
  const { kernels, memory } = await instantiateKernels('simd');
  return new CpuBackend('cpu', separateNumericMode, kernels, memory);
}

/** The arithmetic of `separateArithmetic`, but in products of matrices and convolutions each step is rounded once. */
export const fusedNumericMode = 'f32-fma.v1';

/**
 * Opens the cpu backend on relaxed SIMD. Whether its multiply-add is fused is the engine's choice, made by its processor:
 * it is measured here and gives the arithmetic its name. @throws where the engine has no relaxed SIMD.
 */
export async function createRelaxedCpuBackend(): Promise<HostBackend> {
  const instance = instantiateKernels('relaxed-simd').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`this engine has no relaxed SIMD in WebAssembly (${reason})`);
  });
  const { kernels, memory } = await instance;
  // The square is 1 + 2^-11 + 2^-24, whose last part is lost where it is rounded before the subtraction.
  const fused = kernels.multiplyAddOnce(-(1 + 2 ** -11), 1 + 2 ** -12, 1 + 2 ** -12) !== 0;
  return new CpuBackend('cpu-relaxed', fused ? fusedNumericMode : separateNumericMode, kernels, memory);
}

/** The cpu backend: WebAssembly SIMD kernels over one memory, with the bits of the reference. */
import type { ByteTable, HostBackend, KernelCall, Storage } from '../../backend.ts';
import { noteChange } from '../../changes.ts';
import { checkCopy } from '../check.ts';
import { dispatch, placed } from '../operands.ts';
import { separateNumericMode } from '../reference/backend.ts';
import { HostStorageBackend, type Scratch } from '../storage-backend.ts';
import { Allocator } from './allocator.ts';
import { CpuByteTable } from './byte-table.ts';
import { preparers, takesMicrobatches } from './prepare.ts';
import { instantiateKernels, type Kernels, type WasmMemory } from './webassembly.ts';

const bytesPerValue = 4;

/** Its memory is addresses of blocks. */
class CpuBackend extends HostStorageBackend<number> {
  readonly name: string;
  readonly numericMode: string;
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;
  readonly #allocator: Allocator;

  constructor(name: string, numericMode: string, kernels: Kernels, memory: WasmMemory) {
    super();
    this.name = name;
    this.numericMode = numericMode;
    this.#kernels = kernels;
    this.#memory = memory;
    this.#allocator = new Allocator(memory, kernels.workspaceEnd());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    this.#convert(storage, bytes.length, divisor, (address) => {
      new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes);
    });
  }

  byteTable(rows: number, columns: number): ByteTable {
    const [kernels, memory, allocator] = [this.#kernels, this.#memory, this.#allocator];
    return new CpuByteTable({ kernels, memory, allocator, convert: this.#convert.bind(this) }, rows, columns);
  }

  view(storage: Storage): Float32Array {
    return new Float32Array(this.#memory.buffer, this.#addressOf(storage), storage.length);
  }

  largestMagnitude(storage: Storage): number {
    return this.#kernels.largestMagnitude(this.#addressOf(storage), storage.length);
  }

  protected createMemory(length: number): number {
    return this.#allocator.allocate(length * bytesPerValue);
  }

  protected releaseMemory(address: number): void {
    this.#allocator.release(address);
  }

  protected override sumsMicrobatches(call: KernelCall): boolean {
    return takesMicrobatches(call);
  }

  protected prepareCall(call: KernelCall, scratch: Scratch): () => void {
    const onAddresses = placed(call, (storage, _, offset) => this.#addressOf(storage) + offset * bytesPerValue);
    return dispatch(preparers, onAddresses, {
      kernels: this.#kernels,
      memory: this.#memory,
      reserve: (bytes) => this.#addressOf(scratch(Math.ceil(bytes / bytesPerValue))),
    });
  }

  /** Lets `write` put bytes into the last quarter of the storage, then converts them to floats in all of it. */
  #convert(storage: Storage, count: number, divisor: number, write: (address: number) => void): void {
    checkCopy(storage, count);
    const address = this.#addressOf(storage);
    const lastQuarter = address + (bytesPerValue - 1) * count;
    write(lastQuarter);
    this.#kernels.bytesToFloats(lastQuarter, address, count, divisor);
    noteChange(storage);
  }

  #addressOf(storage: Storage): number {
    const { memory, offset } = this.own(storage);
    return memory + offset * bytesPerValue;
  }
}

/** Opens the cpu backend, each time over a memory of its own. @throws where the engine has no WebAssembly SIMD. */
export async function createCpuBackend(): Promise<HostBackend> {
  const { kernels, memory } = await instantiateKernels('simd');
  return new CpuBackend('cpu', separateNumericMode, kernels, memory);
}

/** As `separateNumericMode`, but products of matrices and convolutions round a multiplication and addition once. */
export const fusedNumericMode = 'f32-fma.v1';

/**
 * Opens the cpu backend on relaxed SIMD. Whether its multiply-add is fused is the engine's choice, by its processor: it is
 * measured here and decides the numeric mode. @throws where the engine has no relaxed SIMD.
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

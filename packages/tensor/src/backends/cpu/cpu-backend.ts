/** The CPU backend: WebAssembly SIMD kernels over one memory. */
import type {
  ByteInput,
  ByteTable,
  CodecKernels,
  HostBackend,
  KernelCall,
  Magnitude,
  Program,
  Storage,
} from '../../backend.ts';
import { noteChange } from '../../tensor.ts';
import { checkCopy, placed } from '../calls.ts';
import { separateNumericMode } from '../reference.ts';
import { HostStorageBackend, type Scratch } from '../storage-backend.ts';
import { ByteOperands, CpuByteInput, CpuByteTable, waitingAddress } from './bytes.ts';
import {
  Allocator,
  createKernels,
  type KernelInstance,
  type KernelSetup,
  type Kernels,
  type VectorBits,
  type WasmMemory,
} from './memory.ts';
import {
  bytesPerValue,
  type CpuProgram,
  callWords,
  createProgram,
  hasMicrobatchSums,
  ProgramList,
  type ProgramMemory,
  placeProgram,
  programWords,
} from './programs.ts';
import { type Placement, type ThreadOptions, ThreadTeam } from './threads.ts';

/** The lanes of a checksum, and one partial block. */
const laneBytes = 128;
const stateBytes = 2 * laneBytes;
/** Bytes copied at once from outside the kernels' memory: fits in a processor's cache. */
const pieceBytes = 64 * 1024;
/**
 * Engines copy from and to shared memory in words of this size, or byte by byte if source and target are aligned
 * differently.
 */
const copyWordBytes = 8;
/** Bytes that one bit of the bitmap stands for: 64 values. The bitmap has words of 4 bytes. */
const blockBytes = 256;
const bitmapBytesOf = (valueBytes: number): number => 4 * Math.ceil(valueBytes / blockBytes / 32);

/** Uses the calling thread's workspace, between its programs. */
class CpuCodec implements CodecKernels {
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;

  constructor(kernels: Kernels, memory: WasmMemory) {
    this.#kernels = kernels;
    this.#memory = memory;
  }

  lanes(bytes: Uint8Array): Int32Array {
    const state = this.#kernels.workspace();
    new Uint8Array(this.#memory.buffer, state, stateBytes).fill(0);
    for (let at = 0; at < bytes.length; ) {
      const { address, length } = this.#reach(bytes, at, bytes.length);
      this.#kernels.feedLanes(state, address, length);
      at += length;
    }
    return new Int32Array(this.#memory.buffer, state, laneBytes / 4);
  }

  nonZeroBlocks(values: Float32Array): Uint8Array {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const bitmap = new Uint8Array(bitmapBytesOf(bytes.length));
    const part = this.#kernels.workspace();
    for (let at = 0; at < bytes.length; ) {
      const { address, length } = this.#reach(bytes, at, pieceBytes);
      this.#kernels.nonZeroBlocks(address, length / 4, part);
      bitmap.set(new Uint8Array(this.#memory.buffer, part, bitmapBytesOf(length)), bitmapBytesOf(at));
      at += length;
    }
    return bitmap;
  }

  /**
   * Address at which kernels can read the bytes from `at` on: up to `most` bytes in place, else a piece copied to the
   * workspace.
   */
  #reach(bytes: Uint8Array, at: number, most: number): { readonly address: number; readonly length: number } {
    const rest = bytes.length - at;
    const { buffer } = this.#memory;
    if (bytes.buffer === buffer) return { address: bytes.byteOffset + at, length: Math.min(rest, most) };
    const address = this.#kernels.workspace() + stateBytes + (bytes.byteOffset % copyWordBytes);
    const length = Math.min(rest, pieceBytes);
    new Uint8Array(buffer, address, length).set(bytes.subarray(at, at + length));
    return { address, length };
  }
}

/** The memory of a storage is the address of a block. */
class CpuBackend extends HostStorageBackend<number> implements ProgramMemory {
  readonly name = 'cpu';
  readonly numericMode = separateNumericMode;
  readonly kernels: Kernels;
  readonly memory: WasmMemory;
  readonly allocator: Allocator;
  readonly codec: CpuCodec;
  readonly vectorBits: VectorBits;
  readonly #setup: KernelSetup;
  readonly #byteOperands: ByteOperands;
  #team: ThreadTeam | undefined;
  /** One list per thread; the first belongs to the calling thread. */
  #lists: readonly ProgramList[];

  constructor({ kernels, ...setup }: KernelInstance) {
    super();
    const { memory, vectorBits } = setup;
    this.kernels = kernels;
    this.memory = memory;
    this.vectorBits = vectorBits;
    this.#setup = setup;
    this.allocator = new Allocator(memory, kernels.workspace() + kernels.workspaceBytes());
    this.codec = new CpuCodec(kernels, memory);
    this.#byteOperands = new ByteOperands(this);
    this.#lists = [new ProgramList(this)];
  }

  get threads(): number {
    return this.#lists.length;
  }

  /** Starts all threads but the calling one. @throws Error with one sentence if one of them cannot start */
  async startThreads(options: ThreadOptions): Promise<void> {
    const others = Array.from({ length: options.count - 1 });
    const workspaces = others.map(() => this.allocator.allocate(this.kernels.workspaceBytes()));
    this.#team = await ThreadTeam.start({ ...this.#setup, workspaces }, options);
    this.#lists = [...this.#lists, ...others.map(() => new ProgramList(this))];
  }

  async close(): Promise<void> {
    await this.#team?.close();
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    this.#byteOperands.settle(this.own(storage));
    const address = this.#addressOf(storage);
    const waiting = waitingAddress(address, bytes.length);
    new Uint8Array(this.memory.buffer, waiting, bytes.length).set(bytes);
    this.kernels.bytesToFloats(waiting, address, bytes.length, divisor);
    noteChange(storage);
  }

  byteTable(rows: number, columns: number): ByteTable {
    return new CpuByteTable(this.memory, this.allocator, rows, columns);
  }

  byteInput(storage: Storage, divisor: number): ByteInput {
    const operand = this.#byteOperands.open(this.own(storage), Math.fround(divisor));
    return new CpuByteInput(this, storage, this.#addressOf(storage), divisor, operand);
  }

  view(storage: Storage): Float32Array {
    this.#byteOperands.settle(this.own(storage));
    return new Float32Array(this.memory.buffer, this.#addressOf(storage), storage.length);
  }

  magnitudeOf(storage: Storage): Magnitude {
    this.#byteOperands.close(this.own(storage));
    const result = this.allocate(1);
    const places = { input: this.#addressOf(storage), count: storage.length, output: this.#addressOf(result) };
    const program = createProgram(this, callWords('magnitude', places));
    const dispose = (): void => {
      program.dispose();
      this.free(result);
    };
    return { program: { ...program, dispose }, value: () => this.view(result)[0]! };
  }

  runTogether(lists: readonly (readonly Program[])[]): void {
    const busy = lists.filter((programs) => programs.length > 0) as (readonly CpuProgram[])[];
    const placements = busy.map((programs, thread) => this.#lists[thread]!.place(programs));
    const [own, ...others] = placements;
    if (own === undefined) return;
    const execute = ({ address, end }: Placement): void => this.kernels.execute(address, end);
    if (this.#team && others.length > 0) this.#team.run(own, others, execute);
    else execute(own);
  }

  protected createMemory(length: number): number {
    return this.allocator.allocate(length * bytesPerValue);
  }

  protected releaseMemory(address: number): void {
    this.#byteOperands.release(address);
    this.allocator.release(address);
  }

  protected override hasMicrobatchSums(call: KernelCall): boolean {
    return hasMicrobatchSums(call);
  }

  protected prepareCalls(calls: readonly KernelCall[], scratch: Scratch): Pick<Program, 'run'> {
    const reserve = (bytes: number): number => this.#addressOf(scratch(Math.ceil(bytes / bytesPerValue)));
    const onAddresses = calls.map((call) =>
      placed(call, (storage, _, offset, role) => {
        this.#byteOperands.noteUse(this.own(storage), call, role);
        return this.#addressOf(storage) + offset * bytesPerValue;
      }),
    );
    const byteOperand = (values: number, length: number): number => this.#byteOperands.addressOf(values, length);
    const words = programWords(onAddresses, { memory: this.memory, reserve, byteOperand });
    return placeProgram(this, words, reserve(words.length * bytesPerValue));
  }

  #addressOf(storage: Storage): number {
    const { memory, offset } = this.own(storage);
    return memory + offset * bytesPerValue;
  }
}

/**
 * Opens the cpu backend on a new memory.
 * @throws Error with one sentence if the engine has no WebAssembly SIMD, or a thread cannot start
 */
export async function createCpuBackend(threads?: ThreadOptions): Promise<HostBackend> {
  const backend = new CpuBackend(await createKernels(isShared(threads)));
  if (threads && isShared(threads)) await backend.startThreads(threads);
  return backend;
}

/** Whether the memory is shared. @throws Error with one sentence if threads are requested but cannot share memory */
function isShared(threads: ThreadOptions | undefined): boolean {
  if (threads === undefined || threads.count === 1) return false;
  if ((globalThis as { SharedArrayBuffer?: unknown }).SharedArrayBuffer === undefined) {
    throw new Error('threads need shared memory (SharedArrayBuffer), which is not available here');
  }
  return true;
}

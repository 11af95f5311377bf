/** Bytes in the memory of the kernels: tables of samples, and operands that stay bytes. */
import type { ByteInput, ByteTable, KernelCall, Program, Storage } from '../../backend.ts';
import { noteChange } from '../../tensor.ts';
import { checkCopy, type Role } from '../calls.ts';
import { HostTable, type OwnedStorage } from '../storage-backend.ts';
import type { Allocator, Kernels, WasmMemory } from './memory.ts';
import { bytesPerValue, callWords, createProgram, isDenseLeft, type ProgramMemory, wordBytes } from './programs.ts';

export class CpuByteTable extends HostTable {
  /** Address of the first row. */
  readonly address: number;
  readonly #memory: WasmMemory;
  readonly #allocator: Allocator;

  constructor(memory: WasmMemory, allocator: Allocator, rows: number, columns: number) {
    super(rows, columns);
    this.#memory = memory;
    this.#allocator = allocator;
    this.address = allocator.allocate(rows * columns);
  }

  /** @throws RangeError for the first number without a row */
  checkRows(numbers: Uint32Array): void {
    let largest = 0;
    for (let index = 0; index < numbers.length; index++) largest = Math.max(largest, numbers[index]!);
    if (largest >= this.rows) for (const number of numbers) this.row(number);
  }

  dispose(): void {
    this.#allocator.release(this.address);
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.address, this.rows * this.columns);
  }
}

const byteValues = 256;
// Layout that kernels/convert.ts reads: a pending flag, the divisor, and the quotients of all bytes.
const divisorOffset = 4;
const quotientsOffset = 16;
const operandBytes = quotientsOffset + byteValues * bytesPerValue;

type CpuStorage = OwnedStorage<number>;

interface OperandContext {
  readonly kernels: Pick<Kernels, 'bytesToFloats'>;
  readonly memory: WasmMemory;
  readonly allocator: Allocator;
}

/**
 * Byte operand of one storage. Pending bytes are in the last quarter, so that a conversion reads ahead of its writes.
 */
class ByteOperand {
  /** Address of the block that kernels read. */
  readonly address: number;
  readonly length: number;
  readonly #context: OperandContext;
  readonly #values: number;
  readonly #divisor: number;
  #isOpen = true;

  /** @param values address of the storage */
  constructor(context: OperandContext, values: number, length: number, divisor: number) {
    const { memory, allocator } = context;
    this.address = allocator.allocate(operandBytes);
    this.length = length;
    this.#context = context;
    this.#values = values;
    this.#divisor = divisor;
    this.waits = false;
    new Float32Array(memory.buffer, this.address + divisorOffset, 1)[0] = divisor;
    const bytes = Float32Array.from({ length: byteValues }, (_, byte) => byte);
    new Float32Array(memory.buffer, this.address + quotientsOffset, byteValues).set(
      bytes.map((byte) => byte / divisor),
    );
  }

  /** Whether bytes with this divisor may stay bytes: only products read the storage. */
  isOpen(divisor: number): boolean {
    return this.#isOpen && divisor === this.#divisor;
  }

  get waits(): boolean {
    return this.#flag[0] !== 0;
  }

  set waits(waits: boolean) {
    this.#flag[0] = Number(waits);
  }

  /** Converts pending bytes to floats. */
  settle(): void {
    if (!this.waits) return;
    const { length } = this;
    this.#context.kernels.bytesToFloats(waitingAddress(this.#values, length), this.#values, length, this.#divisor);
    this.waits = false;
  }

  /** Allows no pending bytes from now on: a program needs floats. */
  close(): void {
    this.settle();
    this.#isOpen = false;
  }

  get #flag(): Uint32Array {
    return new Uint32Array(this.#context.memory.buffer, this.address, 1);
  }
}

/** Address of the pending bytes of a storage of `length` values. */
export function waitingAddress(values: number, length: number): number {
  return values + (bytesPerValue - 1) * length;
}

/** The byte operands of a backend. */
export class ByteOperands {
  readonly #context: OperandContext;
  /** By the address of the storage. */
  readonly #operands = new Map<number, ByteOperand>();
  /** Storages that may be read or written as floats at any time; they get no operand. */
  readonly #read = new WeakSet<CpuStorage>();

  constructor(context: OperandContext) {
    this.#context = context;
  }

  /**
   * Returns the operand of a whole storage, creating it if necessary. If floats are needed, closes it and returns
   * undefined.
   */
  open(storage: CpuStorage, divisor: number): ByteOperand | undefined {
    const { whole, offset, length, memory } = storage;
    // With such a divisor byte 0 stands for 0, so that products may skip it.
    const isPlain = divisor > 0 && Number.isFinite(divisor);
    if (!isPlain || offset > 0 || length < whole.length || this.#read.has(whole)) {
      this.close(storage);
      return undefined;
    }
    const operand = this.#operands.get(memory) ?? new ByteOperand(this.#context, memory, length, divisor);
    this.#operands.set(memory, operand);
    return operand;
  }

  /** Address of the operand that covers exactly the `length` values at `values`, or 0 if there is none. */
  addressOf(values: number, length: number): number {
    const operand = this.#operands.get(values);
    return operand?.length === length ? operand.address : 0;
  }

  /** Records that a program uses the storage in this role. */
  noteUse(storage: CpuStorage, call: KernelCall, role: Role): void {
    const operand = this.#operands.get(storage.memory);
    const { length, offset } = storage;
    const isOperand = operand?.length === length && offset === 0 && isLeftOfProduct(call, role, length);
    if (!isOperand) this.close(storage);
  }

  /** Converts the pending bytes of a storage, or of the storage that it is a slice of. */
  settle({ memory }: CpuStorage): void {
    this.#operands.get(memory)?.settle();
  }

  /** Records that floats of the storage may be read or written at any time. */
  close({ memory, whole }: CpuStorage): void {
    this.#operands.get(memory)?.close();
    this.#read.add(whole);
  }

  /** Releases the operand of a storage that is freed. */
  release(values: number): void {
    const operand = this.#operands.get(values);
    if (operand === undefined) return;
    this.#operands.delete(values);
    this.#context.allocator.release(operand.address);
  }
}

/** Whether the call multiplies all `length` values of a storage from the left. */
function isLeftOfProduct(call: KernelCall, role: Role, length: number): boolean {
  return call.kind === 'matmul' && role === 'left' && isDenseLeft(call) && call.m * call.k === length;
}

/** Row numbers in the kernels' memory, and the program that copies those rows of one table. */
interface RowInput {
  readonly numbers: number;
  /** Whether the rows stay bytes. */
  readonly areBytes: boolean;
  readonly program: Program;
  dispose(): void;
}

export class CpuByteInput implements ByteInput {
  readonly #context: ProgramMemory;
  readonly #storage: Storage;
  readonly #address: number;
  readonly #divisor: number;
  readonly #operand: ByteOperand | undefined;
  readonly #rows = new Map<ByteTable, RowInput>();
  #conversion: Program | undefined;
  #nothing: Program | undefined;

  /**
   * @param address address of the storage
   * @param operand byte operand of the storage, if products may read bytes
   */
  constructor(context: ProgramMemory, storage: Storage, address: number, divisor: number, operand?: ByteOperand) {
    this.#context = context;
    this.#storage = storage;
    this.#address = address;
    this.#divisor = Math.fround(divisor);
    this.#operand = operand;
  }

  take(bytes: Uint8Array): Program {
    const { length } = this.#storage;
    checkCopy(this.#storage, bytes.length);
    const waiting = waitingAddress(this.#address, length);
    new Uint8Array(this.#context.memory.buffer, waiting, length).set(bytes);
    noteChange(this.#storage);
    if (this.#waits()) {
      this.#nothing ??= createProgram(this.#context, []);
      return this.#nothing;
    }
    this.#conversion ??= createProgram(
      this.#context,
      callWords('bytesToFloats', { bytes: waiting, output: this.#address, count: length, divisor: this.#divisor }),
    );
    return this.#conversion;
  }

  takeRows(table: ByteTable, numbers: Uint32Array): Program {
    checkCopy(this.#storage, numbers.length * table.columns);
    if (!(table instanceof CpuByteTable)) throw new TypeError('cpu: this table belongs to another backend');
    table.checkRows(numbers);
    const rows = this.#rowInput(table, numbers.length, this.#waits());
    new Uint32Array(this.#context.memory.buffer, rows.numbers, numbers.length).set(numbers);
    noteChange(this.#storage);
    return rows.program;
  }

  dispose(): void {
    this.#conversion?.dispose();
    this.#nothing?.dispose();
    for (const rows of this.#rows.values()) rows.dispose();
    this.#rows.clear();
  }

  /** Marks incoming bytes as pending if the operand allows it; returns whether it does. */
  #waits(): boolean {
    if (this.#operand === undefined) return false;
    this.#operand.waits = this.#operand.isOpen(this.#divisor);
    return this.#operand.waits;
  }

  #rowInput(table: CpuByteTable, count: number, areBytes: boolean): RowInput {
    const known = this.#rows.get(table);
    if (known?.areBytes === areBytes) return known;
    known?.dispose();
    const rows = this.#createRowInput(table, count, areBytes);
    this.#rows.set(table, rows);
    return rows;
  }

  #createRowInput(table: CpuByteTable, count: number, areBytes: boolean): RowInput {
    const { allocator } = this.#context;
    const numbers = allocator.allocate(count * wordBytes);
    const rows = { table: table.address, columns: table.columns, numbers, count };
    const words = areBytes
      ? callWords('rowsToBytes', { ...rows, output: waitingAddress(this.#address, this.#storage.length) })
      : callWords('rowsToFloats', { ...rows, output: this.#address, divisor: this.#divisor });
    const program = createProgram(this.#context, words);
    return {
      numbers,
      areBytes,
      program,
      dispose() {
        program.dispose();
        allocator.release(numbers);
      },
    };
  }
}

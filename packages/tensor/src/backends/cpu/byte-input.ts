/** Byte inputs in the kernels' memory: copied at once, converted by a program or on demand. */
import type { Storage } from '../../backend.ts';
import { noteChange } from '../../changes.ts';
import type { ByteInput, ByteTable, Program } from '../../program.ts';
import { checkCopy } from '../check.ts';
import { type ByteOperand, waitingAddress } from './byte-operand.ts';
import { CpuByteTable } from './byte-table.ts';
import * as codes from './call-codes.ts';
import { createProgram, type ProgramMemory } from './programs.ts';

const wordBytes = Uint32Array.BYTES_PER_ELEMENT;

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
    const words = [codes.bytesToFloats, waiting, this.#address, length, this.#divisorBits];
    this.#conversion ??= createProgram(this.#context, words);
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

  get #divisorBits(): number {
    return new Uint32Array(Float32Array.of(this.#divisor).buffer)[0]!;
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
    const rows = [table.address, table.columns, numbers, count];
    const words = areBytes
      ? [codes.rowsToBytes, ...rows, waitingAddress(this.#address, this.#storage.length)]
      : [codes.rowsToFloats, ...rows, this.#address, this.#divisorBits];
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

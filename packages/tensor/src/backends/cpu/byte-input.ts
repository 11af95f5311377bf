/** Bytes on their way into a storage of the kernels' memory: copied at once, converted by a program. */
import type { Storage } from '../../backend.ts';
import { noteChange } from '../../changes.ts';
import type { ByteInput, ByteTable, Program } from '../../program.ts';
import { checkCopy } from '../check.ts';
import { CpuByteTable } from './byte-table.ts';
import * as codes from './call-codes.ts';
import { createProgram, type ProgramMemory } from './programs.ts';

const bytesPerValue = 4;
const wordBytes = Uint32Array.BYTES_PER_ELEMENT;

/** Where rows of one table are handed over. */
interface RowInput {
  readonly numbers: number;
  readonly program: Program;
  dispose(): void;
}

export class CpuByteInput implements ByteInput {
  readonly #context: ProgramMemory;
  readonly #storage: Storage;
  readonly #address: number;
  readonly #divisorBits: number;
  readonly #rows = new Map<ByteTable, RowInput>();
  #taken: Program | undefined;

  /** @param address of the storage */
  constructor(context: ProgramMemory, storage: Storage, address: number, divisor: number) {
    this.#context = context;
    this.#storage = storage;
    this.#address = address;
    this.#divisorBits = new Uint32Array(Float32Array.of(divisor).buffer)[0]!;
  }

  take(bytes: Uint8Array): Program {
    const { length } = this.#storage;
    checkCopy(this.#storage, bytes.length);
    // They wait in the last quarter of the storage: the conversion reads ahead of what it writes.
    const waiting = this.#address + (bytesPerValue - 1) * length;
    new Uint8Array(this.#context.memory.buffer, waiting, length).set(bytes);
    noteChange(this.#storage);
    const words = [codes.bytesToFloats, waiting, this.#address, length, this.#divisorBits];
    this.#taken ??= createProgram(this.#context, words);
    return this.#taken;
  }

  takeRows(table: ByteTable, numbers: Uint32Array): Program {
    checkCopy(this.#storage, numbers.length * table.columns);
    if (!(table instanceof CpuByteTable)) throw new TypeError('cpu: this table belongs to another backend');
    table.checkRows(numbers);
    const rows = this.#rows.get(table) ?? this.#createRowInput(table, numbers.length);
    this.#rows.set(table, rows);
    new Uint32Array(this.#context.memory.buffer, rows.numbers, numbers.length).set(numbers);
    noteChange(this.#storage);
    return rows.program;
  }

  dispose(): void {
    this.#taken?.dispose();
    for (const rows of this.#rows.values()) rows.dispose();
    this.#rows.clear();
  }

  #createRowInput(table: CpuByteTable, count: number): RowInput {
    const { allocator } = this.#context;
    const numbers = allocator.allocate(count * wordBytes);
    const words = [codes.rowsToFloats, table.address, table.columns, numbers, count, this.#address, this.#divisorBits];
    const program = createProgram(this.#context, words);
    return {
      numbers,
      program,
      dispose() {
        program.dispose();
        allocator.release(numbers);
      },
    };
  }
}

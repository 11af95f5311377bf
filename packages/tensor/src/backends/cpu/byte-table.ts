/** A table of bytes in the kernels' memory, from which they copy rows without a call for each. */
import type { Storage } from '../../backend.ts';
import { VisibleTable } from '../byte-table.ts';
import type { Allocator } from './allocator.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';

/** Rows whose numbers are handed over at once. */
const numbersAtOnce = 1024;

export interface TableMemory {
  readonly kernels: Pick<Kernels, 'copyRows'>;
  readonly memory: WasmMemory;
  readonly allocator: Allocator;
  /** Has `count` bytes written where it says, and makes `byte / divisor` of them in the storage. */
  readonly convert: (storage: Storage, count: number, divisor: number, write: (address: number) => void) => void;
}

export class CpuByteTable extends VisibleTable {
  readonly #room: TableMemory;
  readonly #address: number;
  readonly #numbers: number;

  constructor(room: TableMemory, rows: number, columns: number) {
    super(rows, columns);
    this.#room = room;
    this.#address = room.allocator.allocate(rows * columns);
    this.#numbers = room.allocator.allocate(numbersAtOnce * Uint32Array.BYTES_PER_ELEMENT);
  }

  upload(storage: Storage, numbers: Uint32Array, divisor: number): void {
    this.#room.convert(storage, numbers.length * this.columns, divisor, (address) => this.#copy(numbers, address));
  }

  dispose(): void {
    this.#room.allocator.release(this.#address);
    this.#room.allocator.release(this.#numbers);
  }

  protected get bytes(): Uint8Array {
    return new Uint8Array(this.#room.memory.buffer, this.#address, this.rows * this.columns);
  }

  #copy(numbers: Uint32Array, target: number): void {
    const { kernels, memory } = this.#room;
    const { rows, columns } = this;
    const room = new Uint32Array(memory.buffer, this.#numbers, numbersAtOnce);
    for (let from = 0; from < numbers.length; from += numbersAtOnce) {
      const some = numbers.subarray(from, from + numbersAtOnce);
      room.set(some);
      if (kernels.copyRows(this.#address, rows, columns, this.#numbers, some.length, target + from * columns) !== 0) {
        continue;
      }
      // Throws at the first that there is not.
      for (const row of some) this.row(row);
    }
  }
}

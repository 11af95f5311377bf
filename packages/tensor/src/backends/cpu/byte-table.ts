/** A table of bytes in the kernels' memory, from which they copy rows without a call for each. */
import type { Storage } from '../../backend.ts';
import { HostTable } from '../byte-table.ts';
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

export class CpuByteTable extends HostTable {
  readonly #memory: TableMemory;
  readonly #address: number;
  readonly #numbers: number;

  constructor(memory: TableMemory, rows: number, columns: number) {
    super(rows, columns);
    this.#memory = memory;
    this.#address = memory.allocator.allocate(rows * columns);
    this.#numbers = memory.allocator.allocate(numbersAtOnce * Uint32Array.BYTES_PER_ELEMENT);
  }

  upload(storage: Storage, numbers: Uint32Array, divisor: number): void {
    this.#memory.convert(storage, numbers.length * this.columns, divisor, (address) => this.#copy(numbers, address));
  }

  dispose(): void {
    this.#memory.allocator.release(this.#address);
    this.#memory.allocator.release(this.#numbers);
  }

  protected get bytes(): Uint8Array {
    return new Uint8Array(this.#memory.memory.buffer, this.#address, this.rows * this.columns);
  }

  #copy(numbers: Uint32Array, target: number): void {
    const { kernels, memory } = this.#memory;
    const { rows, columns } = this;
    const handedOver = new Uint32Array(memory.buffer, this.#numbers, numbersAtOnce);
    for (let from = 0; from < numbers.length; from += numbersAtOnce) {
      const some = numbers.subarray(from, from + numbersAtOnce);
      handedOver.set(some);
      if (kernels.copyRows(this.#address, rows, columns, this.#numbers, some.length, target + from * columns) !== 0) {
        continue;
      }
      // The first row that does not exist throws.
      for (const row of some) this.row(row);
    }
  }
}

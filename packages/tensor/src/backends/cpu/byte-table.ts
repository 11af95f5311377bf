/** A byte table in the kernels' memory, whose rows one kernel call can copy together. */
import { HostTable } from '../byte-table.ts';
import type { Allocator } from './allocator.ts';
import type { WasmMemory } from './webassembly.ts';

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

/** Base of all backends over storages: sums per microbatch for those that have no kernel for them, and byte tables. */
import { isWholeNumber } from '../arguments.ts';
import type {
  Backend,
  ByteInput,
  ByteTable,
  HostBackend,
  KernelCall,
  Magnitude,
  Program,
  Storage,
} from '../backend.ts';
import { apply, input } from '../formula.ts';
import { noteChange, noteSlice } from '../tensor.ts';
import {
  additionsAfter,
  checkAllocation,
  checkCall,
  checkCopy,
  checkSlice,
  isEmpty,
  microbatchOf,
  outputLength,
  placed,
} from './calls.ts';

/**
 * Returns the call itself if it has at most one microbatch; else one call per microbatch, and additions of their sums
 * unless they are stacked.
 * `scratch` allocates `length` values that live as long as the calls may run.
 */
function splitMicrobatches(
  call: KernelCall,
  slice: (storage: Storage, offset: number, length: number) => Storage,
  scratch: (length: number) => Storage,
): readonly KernelCall[] {
  if (!('microbatches' in call) || call.microbatches === undefined || call.microbatches === 1) return [call];
  const { microbatches: count, stacked = false, ...whole } = call;
  const part = microbatchOf(whole, count);
  const output = slice(whole.output, 0, outputLength(part));
  const calls: KernelCall[] = [];
  // The stack of `additionsAfter`; its lowest value is the output.
  const stack: Storage[] = [output];
  let height = 0;
  for (let index = 0; index < count; index++) {
    if (height === stack.length) stack.push(scratch(output.length));
    const target = stacked ? slice(whole.output, index * output.length, output.length) : stack[height]!;
    const placeOf = (storage: Storage, length: number, _: number, role: string): Storage =>
      role === 'output' ? target : slice(storage, index * length, length);
    calls.push(placed(part, placeOf) as typeof part);
    if (stacked) continue;
    height++;
    for (let additions = additionsAfter(index, count); additions > 0; additions--) {
      height--;
      calls.push(addCall(stack[height - 1]!, stack[height]!));
    }
  }
  return calls;
}

/** `sum += term`. */
function addCall(sum: Storage, term: Storage): KernelCall {
  const view = (storage: Storage) => ({ storage, strides: [1] });
  const formula = apply('add', input(0), input(1));
  return { kind: 'map', formula, shape: [sum.length], inputs: [view(sum), view(term)], output: sum };
}

/** Values `offset` to `offset + length` of a backend's memory; a slice shares the memory and ends with the whole. */
export class OwnedStorage<Memory> implements Storage {
  readonly owner: Pick<Backend, 'name'>;
  readonly offset: number;
  readonly length: number;
  readonly #memory: Memory;
  readonly #whole: OwnedStorage<Memory>;
  #freed = false;

  constructor(owner: Pick<Backend, 'name'>, memory: Memory, length: number, offset = 0, whole?: OwnedStorage<Memory>) {
    this.owner = owner;
    this.offset = offset;
    this.length = length;
    this.#memory = memory;
    this.#whole = whole ?? this;
  }

  /** @throws Error if the storage was freed */
  get memory(): Memory {
    if (this.#whole.#freed) throw new Error(`${this.owner.name}: this storage was already freed`);
    return this.#memory;
  }

  /** The storage that this one is a slice of, or itself. */
  get whole(): OwnedStorage<Memory> {
    return this.#whole;
  }

  slice(offset: number, length: number): OwnedStorage<Memory> {
    return new OwnedStorage(this.owner, this.memory, length, this.offset + offset, this.#whole);
  }

  /** Marks the storage as freed and returns its memory. */
  free(): Memory {
    if (this.#whole !== this) throw new Error(`${this.owner.name}: a slice cannot be freed, only the whole storage`);
    const { memory } = this;
    this.#freed = true;
    return memory;
  }
}

/** Allocates values that live as long as a program may run. */
export type Scratch = (length: number) => Storage;

/** Creates a program that runs functions in order without allocating. */
export function inOrder(steps: readonly (() => void)[]): Pick<Program, 'run'> {
  return {
    run() {
      for (let index = 0; index < steps.length; index++) steps[index]!();
    },
  };
}

export abstract class StorageBackend<Memory> implements Backend {
  abstract readonly name: string;
  abstract readonly numericMode: string;
  readonly microbatchSums: boolean = false;

  protected abstract createMemory(length: number): Memory;
  protected abstract releaseMemory(memory: Memory): void;
  /** Prepares calls, none of them empty. Storages from `scratch` are freed with the program. */
  protected abstract prepareCalls(calls: readonly KernelCall[], scratch: Scratch): Pick<Program, 'run'>;
  abstract upload(storage: Storage, values: Float32Array): void;
  abstract uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void;
  abstract download(storage: Storage): Promise<Float32Array>;

  allocate(length: number): Storage {
    checkAllocation(length);
    return new OwnedStorage(this, this.createMemory(length), length);
  }

  slice(storage: Storage, offset: number, length: number): Storage {
    checkSlice(storage, offset, length);
    const slice = this.own(storage).slice(offset, length);
    noteSlice(slice, storage, offset);
    return slice;
  }

  free(storage: Storage): void {
    this.releaseMemory(this.own(storage).free());
  }

  prepare(calls: readonly KernelCall[]): Program {
    calls.forEach(checkCall);
    const held: Storage[] = [];
    const scratch: Scratch = (length) => {
      const storage = this.allocate(length);
      held.push(storage);
      return storage;
    };
    const slice = (storage: Storage, offset: number, length: number): Storage =>
      this.own(storage).slice(offset, length);
    const isStacked = (call: KernelCall): boolean => 'stacked' in call && call.stacked === true;
    const isSplit = (call: KernelCall): boolean =>
      isStacked(call) || (this.microbatchSums && !this.hasMicrobatchSums(call));
    const lowered = calls
      .filter((call) => !isEmpty(call))
      .flatMap((call) => (isSplit(call) ? splitMicrobatches(call, slice, scratch) : [call]));
    return {
      ...this.prepareCalls(lowered, scratch),
      dispose: () => {
        for (const storage of held.splice(0)) this.free(storage);
      },
    };
  }

  /** Whether a kernel of a backend with `microbatchSums` computes them for this call; if not, the call is split. */
  protected hasMicrobatchSums(_call: KernelCall): boolean {
    return false;
  }

  /** @throws TypeError for a storage of another backend, Error for one that was freed */
  protected own(storage: Storage): OwnedStorage<Memory> {
    if (!(storage instanceof OwnedStorage) || storage.owner !== this) {
      throw new TypeError(`${this.name}: this storage belongs to another backend`);
    }
    void storage.memory;
    return storage;
  }
}

/** A backend whose storages JavaScript can access. */
export abstract class HostStorageBackend<Memory> extends StorageBackend<Memory> implements HostBackend {
  override readonly microbatchSums = true;

  abstract view(storage: Storage): Float32Array;
  abstract magnitudeOf(storage: Storage): Magnitude;

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.view(storage).set(values);
    noteChange(storage);
  }

  async download(storage: Storage): Promise<Float32Array> {
    return this.view(storage).slice();
  }
}

/** Creates a table of `rows` rows of `columns` bytes each. @throws RangeError if either is not a whole number */
export function createByteTable(backend: Backend, rows: number, columns: number): ByteTable {
  if (!isWholeNumber(rows) || !isWholeNumber(columns)) {
    throw new RangeError(`table: expected whole numbers of rows and columns, got ${rows} and ${columns}`);
  }
  return backend.byteTable?.(rows, columns) ?? new DetachedTable(rows, columns);
}

/** A table whose bytes JavaScript can access. */
export abstract class HostTable implements ByteTable {
  readonly rows: number;
  readonly columns: number;

  constructor(rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
  }

  abstract get bytes(): Uint8Array;
  abstract dispose(): void;

  write(row: number, bytes: Uint8Array): void {
    const { columns } = this;
    if (bytes.length !== columns)
      throw new RangeError(`table: expected ${columns} bytes in a row, got ${bytes.length}`);
    this.row(row).set(bytes);
  }

  read(row: number): Uint8Array {
    return this.row(row).slice();
  }

  /** Returns a view of a row. @throws RangeError if there is no such row */
  protected row(row: number): Uint8Array {
    const { rows, columns } = this;
    if (!isWholeNumber(row) || row >= rows) throw new RangeError(`table: expected a row below ${rows}, got ${row}`);
    return this.bytes.subarray(row * columns, (row + 1) * columns);
  }
}

class DetachedTable extends HostTable {
  readonly bytes: Uint8Array;

  constructor(rows: number, columns: number) {
    super(rows, columns);
    this.bytes = new Uint8Array(rows * columns);
  }

  dispose(): void {}
}

const nothing: Program = { run() {}, dispose() {} };

/**
 * Creates a byte input, through which programs see byte / divisor.
 * @param divisor as in `uploadBytes`
 */
export function createByteInput(backend: Backend, storage: Storage, divisor: number): ByteInput {
  return (
    backend.byteInput?.(storage, divisor) ?? {
      take(bytes) {
        backend.uploadBytes(storage, bytes, divisor);
        return nothing;
      },
      takeRows(table, numbers) {
        checkCopy(storage, numbers.length * table.columns);
        const picked = new Uint8Array(storage.length);
        for (let index = 0; index < numbers.length; index++) {
          picked.set(table.read(numbers[index]!), index * table.columns);
        }
        backend.uploadBytes(storage, picked, divisor);
        return nothing;
      },
      dispose() {},
    }
  );
}

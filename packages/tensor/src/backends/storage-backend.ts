/**
 * Behavior shared by all backends: owned storages and their slices, checked calls, programs that release their memory.
 */
import type { Backend, HostBackend, KernelCall, Storage } from '../backend.ts';
import { noteChange, noteSlice } from '../changes.ts';
import type { Magnitude, Program } from '../program.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from './check.ts';
import { lowerMicrobatches } from './microbatch-lowering.ts';
import { isEmpty } from './operands.ts';

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
    const lowered = calls
      .filter((call) => !isEmpty(call))
      .flatMap((call) => (this.sumsMicrobatches(call) ? [call] : lowerMicrobatches(call, slice, scratch)));
    return {
      ...this.prepareCalls(lowered, scratch),
      dispose: () => {
        for (const storage of held.splice(0)) this.free(storage);
      },
    };
  }

  /** Whether `prepareCalls` accepts the call with its microbatches, instead of one call per microbatch. */
  protected sumsMicrobatches(_call: KernelCall): boolean {
    return !this.microbatchSums;
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

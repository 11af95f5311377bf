/** Base of all backends over storages, with sums per microbatch for those that have no kernel for them. */
import type { Backend, HostBackend, KernelCall, Storage } from '../backend.ts';
import { apply, input } from '../formula.ts';
import type { Magnitude, Program } from '../program.ts';
import { noteChange, noteSlice } from '../tensor.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from './check.ts';
import { isEmpty, lengthsOf, placed } from './operands.ts';
import { additionsAfter } from './pairwise-sum.ts';

/**
 * Returns the call itself if it has at most one microbatch; else one call per microbatch, and additions of their sums.
 * `scratch` allocates `length` values that live as long as the calls may run.
 */
function lowerMicrobatches(
  call: KernelCall,
  slice: (storage: Storage, offset: number, length: number) => Storage,
  scratch: (length: number) => Storage,
): readonly KernelCall[] {
  if (!('microbatches' in call) || call.microbatches === undefined || call.microbatches === 1) return [call];
  const { microbatches: count, ...whole } = call;
  const part = partOf(whole, count);
  const output = slice(whole.output, 0, lengthsOf(part).output!);
  const calls: KernelCall[] = [];
  // The stack of pairwise-sum.ts; its lowest value is the output.
  const stack: Storage[] = [output];
  let height = 0;
  for (let index = 0; index < count; index++) {
    if (height === stack.length) stack.push(scratch(output.length));
    const target = stack[height]!;
    const placeOf = (storage: Storage, length: number, _: number, role: string): Storage =>
      role === 'output' ? target : slice(storage, index * length, length);
    calls.push(placed(part, placeOf) as typeof part);
    height++;
    for (let additions = additionsAfter(index, count); additions > 0; additions--) {
      height--;
      calls.push(addCall(stack[height - 1]!, stack[height]!));
    }
  }
  return calls;
}

type Sum = Extract<KernelCall, { readonly microbatches?: number }>;

/** Returns the call for one of `count` microbatches, on the storages of the whole call. */
function partOf(call: Sum, count: number): Sum {
  switch (call.kind) {
    case 'reduce':
      return { ...call, length: call.length / count };
    case 'matmul':
      return { ...call, k: call.k / count };
    case 'convolution':
      return { ...call, windows: { ...call.windows, images: call.windows.images / count } };
    default:
      return call satisfies never;
  }
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

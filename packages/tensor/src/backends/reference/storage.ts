/** The reference backend's storages: typed arrays. */
import type { Storage } from '../../backend.ts';

export class ReferenceStorage implements Storage {
  readonly length: number;
  readonly #values: Float32Array;
  readonly #whole: ReferenceStorage;
  #freed = false;

  constructor(values: Float32Array, whole?: ReferenceStorage) {
    this.#values = values;
    this.#whole = whole ?? this;
    this.length = values.length;
  }

  get values(): Float32Array {
    if (this.#whole.#freed) throw new Error('reference: this storage was already freed');
    return this.#values;
  }

  slice(offset: number, length: number): ReferenceStorage {
    return new ReferenceStorage(this.values.subarray(offset, offset + length), this.#whole);
  }

  free(): void {
    if (this.#whole !== this) throw new Error('reference: a slice cannot be freed, only the whole storage');
    void this.values;
    this.#freed = true;
  }
}

export function own(storage: Storage): ReferenceStorage {
  if (!(storage instanceof ReferenceStorage)) throw new TypeError('reference: this storage belongs to another backend');
  return storage;
}

export function valuesOf(storage: Storage): Float32Array {
  return own(storage).values;
}

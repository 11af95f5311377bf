/** A large map that is never changed, under the changes since: a copy costs as much as those. */

export class LayeredMap<Key, Value> implements ReadonlyMap<Key, Value> {
  readonly #base: ReadonlyMap<Key, Value>;
  /** Of keys that have their place in the base. */
  readonly #replaced: Map<Key, Value>;
  readonly #removed: Set<Key>;
  /** After all of the base, in this order. */
  readonly #added: Map<Key, Value>;

  private constructor(
    base: ReadonlyMap<Key, Value>,
    replaced = new Map<Key, Value>(),
    removed = new Set<Key>(),
    added = new Map<Key, Value>(),
  ) {
    this.#base = base;
    this.#replaced = replaced;
    this.#removed = removed;
    this.#added = added;
  }

  /** A map that may be changed, with the entries of one that is not changed any more. */
  static over<Key, Value>(map: ReadonlyMap<Key, Value>): LayeredMap<Key, Value> {
    if (!(map instanceof LayeredMap)) return new LayeredMap(map);
    const layered: LayeredMap<Key, Value> = map;
    // So many changes that all copies of them cost about as much as one of the base.
    if (layered.#changes ** 2 > layered.#base.size) return new LayeredMap(new Map(layered));
    return new LayeredMap(
      layered.#base,
      new Map(layered.#replaced),
      new Set(layered.#removed),
      new Map(layered.#added),
    );
  }

  get #changes(): number {
    return this.#replaced.size + this.#removed.size + this.#added.size;
  }

  get size(): number {
    return this.#base.size - this.#removed.size + this.#added.size;
  }

  get(key: Key): Value | undefined {
    if (this.#added.has(key)) return this.#added.get(key);
    if (this.#removed.has(key)) return undefined;
    return this.#replaced.has(key) ? this.#replaced.get(key) : this.#base.get(key);
  }

  has(key: Key): boolean {
    return this.#added.has(key) || this.#isInBase(key);
  }

  set(key: Key, value: Value): this {
    if (this.#isInBase(key)) this.#replaced.set(key, value);
    else this.#added.set(key, value);
    return this;
  }

  delete(key: Key): boolean {
    if (this.#added.delete(key)) return true;
    if (!this.#isInBase(key)) return false;
    this.#removed.add(key);
    this.#replaced.delete(key);
    return true;
  }

  *entries(): Generator<[Key, Value], undefined> {
    for (const key of this.keys()) yield [key, this.get(key)!];
    return undefined;
  }

  *keys(): Generator<Key, undefined> {
    for (const key of this.#base.keys()) if (!this.#removed.has(key)) yield key;
    yield* this.#added.keys();
    return undefined;
  }

  *values(): Generator<Value, undefined> {
    for (const [key, value] of this.#base) {
      if (!this.#removed.has(key)) yield this.#replaced.has(key) ? this.#replaced.get(key)! : value;
    }
    yield* this.#added.values();
    return undefined;
  }

  [Symbol.iterator](): Generator<[Key, Value], undefined> {
    return this.entries();
  }

  forEach(callback: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this) callback(value, key, this);
  }

  #isInBase(key: Key): boolean {
    return this.#base.has(key) && !this.#removed.has(key);
  }
}

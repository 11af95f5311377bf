/** A map of one transition's draft: that of the state until its first change, and a copy from then on. */
import { LayeredMap } from './layered-map.ts';

/** A larger map is not copied with each change: a run that many workers have left knows as many records. */
const mostCopied = 1_024;

export class DraftMap<Key, Value> implements ReadonlyMap<Key, Value> {
  #map: ReadonlyMap<Key, Value>;
  /** The same map, once it may be changed. */
  #copy: Map<Key, Value> | LayeredMap<Key, Value> | undefined;

  constructor(map: ReadonlyMap<Key, Value>) {
    this.#map = map;
  }

  /** What the next state holds; not changed here any more. */
  get result(): ReadonlyMap<Key, Value> {
    return this.#map;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  has(key: Key): boolean {
    return this.#map.has(key);
  }

  set(key: Key, value: Value): this {
    this.#writable().set(key, value);
    return this;
  }

  delete(key: Key): boolean {
    return this.#map.has(key) && this.#writable().delete(key);
  }

  keys(): MapIterator<Key> {
    return this.#map.keys();
  }

  values(): MapIterator<Value> {
    return this.#map.values();
  }

  entries(): MapIterator<[Key, Value]> {
    return this.#map.entries();
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.#map.entries();
  }

  forEach(callback: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this.#map) callback(value, key, this);
  }

  #writable(): Map<Key, Value> | LayeredMap<Key, Value> {
    this.#copy ??= this.#map.size > mostCopied ? LayeredMap.over(this.#map) : new Map(this.#map);
    this.#map = this.#copy;
    return this.#copy;
  }
}

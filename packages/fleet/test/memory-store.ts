/** An in-memory store shared by several processes of a test; each reaches it through its own link. */
import { type FleetStore, RevisionConflict, type Versioned } from '../src/store.ts';

export interface Link extends FleetStore {
  /** `cut`: requests do not reach the store; `deaf`: its answers do not come back. */
  fault: 'none' | 'cut' | 'deaf';
}

export class MemoryStore {
  readonly values = new Map<string, Versioned>();
  readonly objects = new Map<string, Uint8Array>();
  #revision = 0;

  link(): Link {
    const link: Link = {
      fault: 'none',
      place: 'memory',
      close: async () => {},
      values: {
        get: (key) => ask(() => this.values.get(key)),
        put: (key, value) => ask(() => this.#write(key, value)),
        create: (key, value) => ask(() => this.#write(key, value, 0)),
        update: (key, value, revision) => ask(() => this.#write(key, value, revision)),
      },
      objects: {
        put: (name, bytes) => ask(() => void this.objects.set(name, bytes.slice())),
        get: (name) => ask(() => this.objects.get(name)),
        remove: (name) => ask(() => void this.objects.delete(name)),
      },
    };
    const ask = async <Value>(use: () => Value): Promise<Value> => {
      if (link.fault === 'cut') throw new Error('no answer');
      const value = use();
      if (link.fault === 'deaf') throw new Error('no answer');
      return value;
    };
    return link;
  }

  /** @param expected the previous revision; 0 if there must be none, omitted if any will do */
  #write(key: string, value: string, expected?: number): number {
    const { revision = 0 } = this.values.get(key) ?? {};
    if (expected !== undefined && revision !== expected) throw new RevisionConflict(key);
    this.#revision += 1;
    this.values.set(key, { value, revision: this.#revision });
    return this.#revision;
  }
}

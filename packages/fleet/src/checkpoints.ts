/** Checkpoints of a run, kept among the store's objects under their hashes. */
import { createHash } from 'node:crypto';
import type { CheckpointRecord, RunRecords } from './records.ts';
import { type Objects, RevisionConflict } from './store.ts';

/** A stored checkpoint. */
export interface FleetCheckpoint {
  readonly name: string;
  readonly run: string;
  readonly step: number;
  readonly read: () => Promise<Uint8Array>;
}

const kept = 3;
/** Most attempts to update the list when other coordinators keep writing first. */
const maxAttempts = 10;

export class Checkpoints {
  readonly #objects: Objects;
  readonly #records: RunRecords;
  readonly #run: string;
  /** The newest checkpoint, read while this process waits to lead. */
  #followed: { readonly sha256: string; readonly bytes: Uint8Array } | undefined;

  constructor(objects: Objects, records: RunRecords, run: string) {
    this.#objects = objects;
    this.#records = records;
    this.#run = run;
  }

  /** Lists the checkpoints, most steps first. */
  async list(): Promise<FleetCheckpoint[]> {
    const listed = await this.#listed();
    return listed.map((record) => ({ ...record, name: nameOf(record), read: () => this.#read(record) }));
  }

  /**
   * Stores a checkpoint, then lists it; keeps the two newest earlier ones.
   * @returns its name
   * @throws Error if the store does not take it; the earlier checkpoints are then still there
   */
  async write(run: string, step: number, bytes: Uint8Array): Promise<string> {
    const sha256 = hashOf(bytes);
    const record = { sha256, step, run, bytes: bytes.length };
    await this.#objects.put(this.#objectName(sha256), bytes);
    for (const { sha256: old } of await this.#addToList(record)) {
      // A leftover object takes space but does no other harm.
      await this.#objects.remove(this.#objectName(old)).catch(() => {});
    }
    return nameOf(record);
  }

  /** Reads the newest checkpoint ahead of time, so that taking over need not wait for it. */
  async follow(): Promise<void> {
    const [newest] = await this.#listed();
    if (!newest || newest.sha256 === this.#followed?.sha256) return;
    this.#followed = { sha256: newest.sha256, bytes: await this.#read(newest) };
  }

  async #listed(): Promise<CheckpointRecord[]> {
    const found = await this.#records.get('checkpoints');
    return (found?.value ?? []).toSorted((a, b) => b.step - a.step);
  }

  /** @returns the checkpoints that are no longer listed */
  async #addToList(record: CheckpointRecord): Promise<readonly CheckpointRecord[]> {
    for (let attempt = 0; ; attempt++) {
      const before = await this.#records.get('checkpoints');
      const others = (before?.value ?? []).filter(({ sha256 }) => sha256 !== record.sha256);
      const list = [record, ...others];
      try {
        await this.#records.replace('checkpoints', list.slice(0, kept), before);
        return list.slice(kept);
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt === maxAttempts) throw error;
      }
    }
  }

  async #read({ sha256 }: CheckpointRecord): Promise<Uint8Array> {
    if (this.#followed?.sha256 === sha256) return this.#followed.bytes;
    const bytes = await this.#objects.get(this.#objectName(sha256));
    if (!bytes) throw new Error('it is listed, and not in the store');
    if (hashOf(bytes) !== sha256) throw new Error('its SHA-256 is not the one that is listed');
    return bytes;
  }

  #objectName(sha256: string): string {
    return `${this.#run}.checkpoint.${sha256}`;
  }
}

function nameOf({ step, sha256 }: CheckpointRecord): string {
  return `checkpoint-${`${step}`.padStart(9, '0')}-${sha256.slice(0, 16)}`;
}

export function hashOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

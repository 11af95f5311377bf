/** What stands under the name of a run in the store: each key with its value. */
import type { KeyValues } from './store.ts';

/** Where the leader of a run can be joined. */
export interface Announced {
  /** The revision with which its lease began; a later leader has a larger one. */
  readonly incarnation: number;
  /** Without secrets. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
}

/** A checkpoint among the objects. */
export interface CheckpointRecord {
  readonly sha256: string;
  readonly step: number;
  /** The name of the run's part that wrote it. */
  readonly run: string;
  readonly bytes: number;
}

/** A relay of the run. */
export interface RelayRecord {
  /** Without secrets. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
  /** That compute for it. */
  readonly workers: number;
}

interface Values {
  readonly address: Announced;
  /** Those that are connected with the leader of this incarnation: it is the one that sees them go. */
  readonly relays: { readonly incarnation: number; readonly relays: readonly RelayRecord[] };
  /** In a key of its own, since viewers may read where a run is, and workers alone its secret. */
  readonly token: { readonly token?: string | undefined };
  /** The leader of this incarnation has taken the last step. */
  readonly end: { readonly incarnation: number };
  /** The object that holds the run's configuration. */
  readonly config: { readonly sha256: string };
  /** In the order in which they were written, the newest first. */
  readonly checkpoints: readonly CheckpointRecord[];
}

export type RecordName = keyof Values;

export interface Found<Value> {
  readonly value: Value;
  readonly revision: number;
}

export class RunRecords {
  readonly #values: KeyValues;
  readonly #run: string;

  constructor(values: KeyValues, run: string) {
    this.#values = values;
    this.#run = run;
  }

  key(name: RecordName | 'lease'): string {
    return `${this.#run}.${name}`;
  }

  async get<Name extends RecordName>(name: Name): Promise<Found<Values[Name]> | undefined> {
    const found = await this.#values.get(this.key(name));
    return found && { value: JSON.parse(found.value) as Values[Name], revision: found.revision };
  }

  async put<Name extends RecordName>(name: Name, value: Values[Name]): Promise<void> {
    await this.#values.put(this.key(name), JSON.stringify(value));
  }

  /** @param before what was found, whose place it takes. @throws RevisionConflict where that has changed */
  async replace<Name extends RecordName>(
    name: Name,
    value: Values[Name],
    before: Found<Values[Name]> | undefined,
  ): Promise<void> {
    const text = JSON.stringify(value);
    if (before) await this.#values.update(this.key(name), text, before.revision);
    else await this.#values.create(this.key(name), text);
  }
}

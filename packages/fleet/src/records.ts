/** Records of a run in the store: each key with its type of value. */
import type { KeyValues } from './store.ts';

/** Address of a run's leader. */
export interface Announced {
  /** Revision at which the leader's lease began; a later leader has a larger one. */
  readonly incarnation: number;
  /** Address without secrets. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
}

/** A checkpoint in the object store. */
export interface CheckpointRecord {
  readonly sha256: string;
  readonly step: number;
  /** Name of the part of the run that wrote it. */
  readonly run: string;
  readonly bytes: number;
}

/** A relay of the run. */
export interface RelayRecord {
  /** Address without secrets. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
  /** Number of workers that compute for the relay. */
  readonly workers: number;
}

interface Values {
  readonly address: Announced;
  /** Relays connected to the leader of this incarnation, which sees them disconnect. */
  readonly relays: { readonly incarnation: number; readonly relays: readonly RelayRecord[] };
  /** Has its own key: viewers may read a run's address, but only workers may read its secret. */
  readonly token: { readonly token?: string | undefined };
  /** Present once the leader of this incarnation has taken the last step. */
  readonly end: { readonly incarnation: number };
  /** Hash that names the object with the run's configuration. */
  readonly config: { readonly sha256: string };
  /** Newest first, by time of writing. */
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

  /** @param before the record found, which this one replaces. @throws RevisionConflict if it has changed since */
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

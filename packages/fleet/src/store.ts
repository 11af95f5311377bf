/** What a fleet needs of its store: small values with revisions, and large objects. */

/** A value as it was found. */
export interface Versioned {
  readonly value: string;
  /** Grows with each write of the value. */
  readonly revision: number;
}

/** Another write came before this one. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
}

/** Small texts by their keys, each write with a revision of its own. */
export interface KeyValues {
  get(key: string): Promise<Versioned | undefined>;
  put(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict where the key has a value */
  create(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict where the value has another revision */
  update(key: string, value: string, revision: number): Promise<number>;
}

/** Bytes by their names. */
export interface Objects {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Undefined where there is none. @throws Error where it is not whole */
  get(name: string): Promise<Uint8Array | undefined>;
  remove(name: string): Promise<void>;
}

/** Any method may fail with an Error of one phrase where the store does not answer. */
export interface FleetStore {
  readonly values: KeyValues;
  readonly objects: Objects;
  /** Where it is, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** Interface of a fleet's store: small values with revisions, and large objects. */

/** A value with its revision. */
export interface Versioned {
  readonly value: string;
  /** Increases with each write of the value. */
  readonly revision: number;
}

/** Another process wrote first. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
}

/** Small texts by key; each write has its own revision. */
export interface KeyValues {
  get(key: string): Promise<Versioned | undefined>;
  put(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict if the key has a value */
  create(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict if the value has another revision */
  update(key: string, value: string, revision: number): Promise<number>;
}

/** Byte objects by name. */
export interface Objects {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Returns undefined if there is none. @throws Error if the object is incomplete */
  get(name: string): Promise<Uint8Array | undefined>;
  remove(name: string): Promise<void>;
}

/** Shared store of a fleet. Any method fails with an Error of one phrase if no answer comes. */
export interface FleetStore {
  readonly values: KeyValues;
  readonly objects: Objects;
  /** Address of the store, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

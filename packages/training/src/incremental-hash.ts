/** A hash of bytes that come one part after another; those of Node are. */

export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  /** Once. */
  digest(encoding: 'hex'): string;
}

/** What a machine brings: begins a hash. */
export type NewHash = () => IncrementalHash;

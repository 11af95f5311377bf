/** A hash of bytes that come one part after another; those of Node are. */

export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  /** Once. */
  digest(encoding: 'hex'): string;
}

/** What a machine brings: begins a hash. */
export type NewHash = () => IncrementalHash;

/** The hash of whole bytes, in hex. */
export function hashWith(newHash: NewHash): (bytes: Uint8Array) => string {
  return (bytes) => {
    const hash = newHash();
    hash.update(bytes);
    return hash.digest('hex');
  };
}

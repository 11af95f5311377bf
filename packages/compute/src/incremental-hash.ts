/** Hash of bytes that arrive in parts, such as Node's `Hash`. */

export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  /** May be called only once. */
  digest(encoding: 'hex'): string;
}

/** Creates a hash; each platform brings its own. */
export type NewHash = () => IncrementalHash;

/** Returns a function that hashes all of its bytes, in hex. */
export function hashWith(newHash: NewHash): (bytes: Uint8Array) => string {
  return (bytes) => {
    const hash = newHash();
    hash.update(bytes);
    return hash.digest('hex');
  };
}

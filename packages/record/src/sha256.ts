/** SHA-256 of bytes, in hex. */
import { createHash } from 'node:crypto';
import type { NewHash } from '@lockstep/compute';

/** Starts a hash of bytes that arrive in parts. */
export const newSha256: NewHash = () => createHash('sha256');

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * The token that was made for a run, in a file of its own beside its checkpoints: the workers of a coordinator that was
 * killed come back only to one that has the same. No checkpoint holds it.
 */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileName = 'join-token';
const ownerOnly = 0o600;

/** The token that was kept, where there is one that the owner alone can read; otherwise `create()`, which is kept. */
export function keptToken(folder: string, create: () => string): string {
  const file = join(folder, fileName);
  const kept = readToken(file);
  if (kept !== undefined) return kept;
  const token = create();
  keepToken(folder, token);
  return token;
}

export function keepToken(folder: string, token: string): void {
  const file = join(folder, fileName);
  // The mode is only given to a file that is new.
  rmSync(file, { force: true });
  writeFileSync(file, `${token}\n`, { mode: ownerOnly, flag: 'wx' });
}

function readToken(file: string): string | undefined {
  try {
    const isPrivate = process.platform === 'win32' || (statSync(file).mode & 0o077) === 0;
    const token = readFileSync(file, 'utf8').trim();
    return isPrivate && /^[\w-]{22}$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}

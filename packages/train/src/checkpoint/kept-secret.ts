/**
 * Secrets that are made for a run, in files of their own beside its checkpoints: the workers of a coordinator that was
 * killed come back only to one that has the same. No checkpoint holds them.
 */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckpointOptions } from '../options.ts';

export interface SecretOptions {
  /** Nothing is kept where there is no folder; what was kept is taken where the run goes on. */
  readonly checkpoint: Pick<CheckpointOptions, 'folder' | 'resume'> | undefined;
  readonly fileName: string;
  readonly isValid: (secret: string) => boolean;
  readonly create: () => string | Promise<string>;
}

const ownerOnly = 0o600;

/** What was kept, where the run goes on and the owner alone can read it; otherwise a new one, which is kept. */
export async function keptSecret({ checkpoint, fileName, isValid, create }: SecretOptions): Promise<string> {
  const { folder, resume = false } = checkpoint ?? {};
  if (folder === undefined) return create();
  const file = join(folder, fileName);
  const kept = resume ? readSecret(file) : undefined;
  if (kept !== undefined && isValid(kept)) return kept;
  const secret = await create();
  // The mode is only given to a file that is new.
  rmSync(file, { force: true });
  writeFileSync(file, `${secret}\n`, { mode: ownerOnly, flag: 'wx' });
  return secret;
}

function readSecret(file: string): string | undefined {
  try {
    const { mode } = statSync(file);
    const isPrivate = process.platform === 'win32' || (mode & 0o077) === 0;
    return isPrivate ? readFileSync(file, 'utf8').trim() : undefined;
  } catch {
    return undefined;
  }
}

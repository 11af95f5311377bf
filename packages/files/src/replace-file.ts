/** Writes a regular file: whole or not at all where its folder allows that. */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A name of its own for a file that is written beside another one; short, whatever the other one's name is. */
export function partBeside(path: string): string {
  return join(dirname(path), `.lockstep-${randomBytes(4).toString('hex')}.part`);
}

/**
 * Writes beside the file, syncs and renames, so that a crash leaves the old file or the new one. Mode and owner stay.
 * @param old what is there, if anything
 */
export async function replaceFile(path: string, content: string | Uint8Array, old?: Stats): Promise<void> {
  // A rename would part a file from its other names.
  if (old && old.nlink > 1) return overwrite(path, content);
  try {
    await writeBeside(path, content, old);
  } catch (error) {
    if (!old || !isFolderFault(error)) throw error;
    await overwrite(path, content);
  }
}

async function writeBeside(path: string, content: string | Uint8Array, old: Stats | undefined): Promise<void> {
  const part = partBeside(path);
  try {
    const file = await open(part, 'wx', old ? 0o600 : 0o666);
    try {
      await file.writeFile(content);
      if (old) await keepOwnerAndMode(file, old);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

async function keepOwnerAndMode(file: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const { uid: ownUid, gid: ownGid } = await file.stat();
  // Only root may give a file away; where that is refused the file is this user's.
  if (uid !== ownUid || gid !== ownGid) await file.chown(uid, gid).catch(() => undefined);
  await file.chmod(mode & 0o7777);
}

/** Whether the folder, not the file, is in the way: it takes no new files, or the file is a mount point. */
function isFolderFault(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['EACCES', 'EBUSY', 'EPERM', 'EROFS', 'EXDEV'].includes(code);
}

/** Not atomic. */
async function overwrite(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(0);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** So that the new name outlives a crash of the machine; some file systems and Windows cannot sync a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync().catch(() => undefined);
  } finally {
    await handle?.close();
  }
}

/** Writes a regular file: whole or not at all, if its folder allows that. */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A unique name for a temporary file in the same folder; short, however long the other name is. */
export function partBeside(path: string): string {
  return join(dirname(path), `.lockstep-${randomBytes(4).toString('hex')}.part`);
}

/**
 * Writes a temporary file, syncs and renames it, so that a crash leaves either the old file or the new one. Mode and
 * owner stay.
 * @param old the existing file, if any
 */
export async function replaceFile(path: string, content: string | Uint8Array, old?: Stats): Promise<void> {
  // A rename would separate the file from its other hard links.
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
  // Only root may give a file away; if that fails, the file belongs to this user.
  if (uid !== ownUid || gid !== ownGid) await file.chown(uid, gid).catch(() => undefined);
  await file.chmod(mode & 0o7777);
}

/** Whether the folder, not the file, is the problem: it takes no new files, or the file is a mount point. */
function isFolderFault(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['EACCES', 'EBUSY', 'EPERM', 'EROFS', 'EXDEV'].includes(code);
}

/** Overwrites in place; not atomic. */
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

/** Makes the new name survive a crash of the machine; some file systems and Windows cannot sync a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync().catch(() => undefined);
  } finally {
    await handle?.close();
  }
}

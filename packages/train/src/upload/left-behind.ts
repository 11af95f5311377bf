/** Temporary folders of uploads whose process was killed before it could remove them. */
import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

const kind = 'lockstep-upload';

/** Begins the name of a folder of this process: whose process numbers they are, and its own. */
export function uploadPrefix(): string {
  return `${kind}-${numbering()}-${process.pid}-`;
}

/**
 * Removes folders of processes that are gone, where this process could see them if they were not.
 * One whose number another process has by now stays.
 */
export async function removeLeftBehind(folder = tmpdir()): Promise<void> {
  const form = new RegExp(`^${kind}-${numbering()}-(\\d+)-`);
  // What cannot be listed or removed stays; no upload depends on it.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const left = entries.filter((entry) => {
    const [, pid] = form.exec(entry.name) ?? [];
    return pid !== undefined && entry.isDirectory() && !isAlive(Number(pid));
  });
  await Promise.allSettled(left.map(({ name }) => rm(join(folder, name), { recursive: true, force: true })));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Names the machine or container whose process numbers mean the same: containers may share the folder. */
function numbering(): string {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // Other systems than Linux have none.
  }
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 12);
}

/** Helpers for tests of files. */
import { execFileSync } from 'node:child_process';

export { temporaryFolder } from '../../train/test/folder.ts';

export function makePipe(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

export const isRoot = process.getuid?.() === 0;
/** Named pipes, devices and modes are tested only if the system has them. */
export const isPosix = process.platform !== 'win32';

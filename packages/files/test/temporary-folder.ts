/** What tests of files make. */
import { execFileSync } from 'node:child_process';

export { temporaryFolder } from '../../train/test/folder.ts';

export function makePipe(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

export const isRoot = process.getuid?.() === 0;
/** Named pipes, devices and modes are looked at where the system has them. */
export const isPosix = process.platform !== 'win32';

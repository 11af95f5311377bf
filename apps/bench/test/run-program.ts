/** Runs built programs in a folder. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const benchProgram = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** Many processes start one after another, possibly on a busy machine. */
export const timeoutMs = 240_000;

export function run(
  cwd: string,
  program: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    // Ends before the test times out, so that no process is left running.
    execFile(process.execPath, [program, ...args], { cwd, timeout: timeoutMs - 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** A peer in another language as a child process: requests go to its stdin and answers come from its stdout, a JSON line each. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A running child. Requests are answered in order, one at a time. */
export interface Child {
  /** Writes to stdin and awaits one line of stdout. Throws a sentence when the child ends instead. */
  ask(...chunks: readonly (string | Uint8Array)[]): Promise<unknown>;
  /** Closes stdin and awaits the end of the child. */
  close(): Promise<void>;
}

/** Starts `command`. A command that does not exist shows as the failure of the first `ask`. */
export function startChild(command: string, args: readonly string[], environment: Record<string, string>): Child {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  // A child that is gone is reported by its exit; the broken pipe would say the same with fewer words.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${command} cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      const lastLine = complaint.trim().split('\n').at(-1);
      resolve(`${command} ended with ${signal ?? `exit code ${code}`}${lastLine ? `: ${lastLine}` : ''}`);
    });
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(...chunks) {
      for (const chunk of chunks) child.stdin.write(chunk);
      const { done, value } = await lines.next();
      if (done) throw new Error(await ended);
      return JSON.parse(value);
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

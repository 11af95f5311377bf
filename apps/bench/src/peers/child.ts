/** A peer as a child process: requests to its stdin and answers from its stdout, each as one line of JSON. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export type Child = ReturnType<typeof startChild>;

/** Starts `command`; if it does not exist, the first `ask` throws. Requests are answered in order, one at a time. */
export function startChild(command: string, args: readonly string[], environment: Record<string, string>) {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] });
  let errorText = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorText = (errorText + text).slice(-2000);
  });
  // The child's exit is reported instead; its broken pipe would say less.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${command} cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      const lastLine = errorText.trim().split('\n').at(-1);
      resolve(`${command} ended with ${signal ?? `exit code ${code}`}${lastLine ? `: ${lastLine}` : ''}`);
    });
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** Writes to stdin and awaits one line of stdout. @throws Error with one sentence if the child ends instead */
    async ask(...chunks: readonly (string | Uint8Array)[]): Promise<unknown> {
      for (const chunk of chunks) child.stdin.write(chunk);
      const { done, value } = await lines.next();
      if (done) throw new Error(await ended);
      return JSON.parse(value);
    },
    /** Closes stdin and awaits the end of the child. */
    async close(): Promise<void> {
      child.stdin.end();
      await ended;
    },
  };
}

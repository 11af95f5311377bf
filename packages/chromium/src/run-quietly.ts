/** Runs a program without showing its output. */
import { spawn } from 'node:child_process';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly limitMs: number;
}

/** Resolves with the line of standard error that says why the program failed; undefined if it succeeded. */
export function runQuietly({ program, args, environment, limitMs }: Command): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(-16_384);
    });
    child.on('error', ({ message }) => resolve(message));
    child.on('exit', (code, signal) => {
      if (signal !== null) resolve(`it was ended after ${limitMs / 1000} s`);
      else resolve(code === 0 ? undefined : (errorLine(text) ?? `exit code ${code}`));
    });
  });
}

/** Returns the first line that names an error, else the last line. */
function errorLine(text: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  const line = lines.find((each) => /^(E|Error|error): |error while loading/.test(each)) ?? lines.at(-1);
  return line?.slice(0, 200);
}

/** Starts the built programs as a person would, and never leaves one behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves with the match when what it has printed so far, or prints later, matches. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>;
  kill(signal: NodeJS.Signals): void;
}

const running = new Set<ChildProcess>();

afterEach(async () => {
  const ended = [...running].map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ended);
});

function start(app: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const file = fileURLToPath(new URL(`../../${app}/dist/main.js`, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  const notify = (): void => {
    for (const check of [...waiting]) check();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    notify();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    notify();
  });
  let isClosed = false;
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      isClosed = true;
      notify();
      resolve({ code, stdout, stderr });
    });
  });
  return {
    pid: child.pid!,
    ended,
    kill: (signal) => void child.kill(signal),
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const match = `${stdout}\n${stderr}`.match(pattern);
          if (!match && !isClosed) return;
          waiting.delete(check);
          if (match) resolve(match);
          else reject(new Error(`expected ${pattern} to be printed, got:\n${stdout}\n${stderr}`));
        };
        waiting.add(check);
        check();
      }),
  };
}

export function startCoordinator(command: 'start' | 'coordinator', args: readonly string[]): Program {
  return start('coordinator', [command, ...args]);
}

export function startWorker(args: readonly string[]): Program {
  return start('worker', args);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

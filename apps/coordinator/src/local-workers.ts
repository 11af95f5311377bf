/** The worker processes that a coordinator starts for itself, and takes with it when it ends. */
import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface LocalWorkersOptions {
  readonly count: number;
  readonly url: string;
  readonly token: string | undefined;
  /** Of a certificate that nobody else vouches for. */
  readonly fingerprint: string | undefined;
  readonly backend: string;
  readonly threads: number;
  /** Called when a worker has ended while it was still wanted. */
  readonly onExit: (exit: LocalWorkerExit) => void;
}

export interface LocalWorkerExit {
  readonly name: string;
  /** Null where a signal ended it. */
  readonly code: number | null;
  /** What it said last: why it ended, if it could say so. */
  readonly lastLine: string;
  /** Local workers that are left. */
  readonly running: number;
}

export interface LocalWorkers {
  /** Asks all to end, and kills those that have not after a moment. */
  stop(): Promise<void>;
}

const workerProgram = fileURLToPath(new URL('../../worker/dist/main.js', import.meta.url));
const patienceMs = 2_000;

export function startLocalWorkers(options: LocalWorkersOptions): LocalWorkers {
  const running = new Set<ChildProcess>();
  let isStopping = false;

  for (let index = 1; index <= options.count; index++) {
    const name = `local-${index}`;
    const args = [
      '--url',
      options.url,
      '--name',
      name,
      '--backend',
      options.backend,
      '--threads',
      `${options.threads}`,
    ];
    // A channel, so that a worker notices when this process is gone, however it went; the token stays out of `ps`.
    const child = fork(workerProgram, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...(options.token === undefined ? {} : { LOCKSTEP_TOKEN: options.token }),
        ...(options.fingerprint === undefined ? {} : { LOCKSTEP_FINGERPRINT: options.fingerprint }),
      },
    });
    running.add(child);
    let lastLine = '';
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLine = line;
    });
    const gone = (code: number | null): void => {
      if (!running.delete(child) || isStopping) return;
      options.onExit({ name, code, lastLine, running: running.size });
    };
    child.on('error', () => gone(null));
    // Not `exit`: what it said last is to be read before.
    child.on('close', gone);
  }

  return {
    async stop() {
      isStopping = true;
      const ended = [...running].map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
      for (const child of running) child.kill('SIGTERM');
      const kill = setTimeout(() => {
        for (const child of running) child.kill('SIGKILL');
      }, patienceMs);
      await Promise.all(ended);
      clearTimeout(kill);
    },
  };
}

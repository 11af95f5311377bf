/** The worker processes that a coordinator starts for itself; they end when it ends. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { installedFolder } from './installed-folder.ts';

export interface LocalWorkersOptions {
  readonly count: number;
  readonly url: string;
  readonly token: string | undefined;
  readonly fingerprint: string | undefined;
  readonly backend: string;
  readonly threads: number;
  /** Prints a line about a worker that ends before `stop`. */
  readonly log: (line: string) => void;
  /** Called when the last of them has ended by itself, not by a signal. */
  readonly onAllFailed: () => void;
}

const workerProgram = join(installedFolder('@lockstep/worker-command'), 'dist', 'main.js');
const stopTimeoutMs = 2_000;
/** How a worker ends after SIGINT or SIGTERM. */
const interruptedCode = 130;

export class LocalWorkers {
  readonly #options: LocalWorkersOptions;
  readonly #running = new Set<ChildProcess>();
  #isStopping = false;

  constructor(options: LocalWorkersOptions) {
    this.#options = options;
    for (let index = 1; index <= options.count; index++) this.#start(`local-${index}`);
  }

  /** Asks all to end, and kills those that have not after two seconds. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const running = [...this.#running];
    const ended = running.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
    for (const child of running) child.kill('SIGTERM');
    const kill = setTimeout(() => {
      for (const child of this.#running) child.kill('SIGKILL');
    }, stopTimeoutMs);
    await Promise.all(ended);
    clearTimeout(kill);
  }

  #start(name: string): void {
    const { url, backend, threads, token, fingerprint } = this.#options;
    const args = ['--url', url, '--name', name, '--backend', backend, '--threads', `${threads}`];
    // A worker notices by its channel when this process is gone, however it went; `ps` does not show the environment.
    const child = fork(workerProgram, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...(token === undefined ? {} : { LOCKSTEP_TOKEN: token }),
        ...(fingerprint === undefined ? {} : { LOCKSTEP_FINGERPRINT: fingerprint }),
      },
    });
    this.#running.add(child);
    let lastLine = '';
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLine = line;
    });
    const onEnd = (code: number | null): void => {
      if (!this.#running.delete(child) || this.#isStopping) return;
      const how = code === null ? 'killed' : `exit code ${code}`;
      this.#options.log(`worker ${name} ended (${how})${lastLine === '' ? '' : `: ${lastLine}`}`);
      const isFailure = code !== null && code !== interruptedCode;
      if (this.#running.size === 0 && isFailure) this.#options.onAllFailed();
    };
    child.on('error', () => onEnd(null));
    // `close`, unlike `exit`, comes after the last line has been read.
    child.on('close', onEnd);
  }
}

/** The worker processes that a coordinator starts for itself; they end when it ends. */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { ComputeChoice, LocalWorkerSetup } from '@lockstep/worker';

export interface LocalWorkersOptions {
  readonly count: number;
  readonly url: string;
  readonly token: string | undefined;
  readonly fingerprint: string | undefined;
  readonly backend: ComputeChoice;
  readonly threads: number;
  /** Prints a line about a worker that ends before `stop`. */
  readonly log: (line: string) => void;
  /** Called when the last of them has ended by itself, not by a signal. */
  readonly onAllFailed: () => void;
}

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
    // A worker notices by its channel when this process is gone, however it went; secrets go there, where no list of
    // processes shows them.
    const program = createRequire(import.meta.url).resolve('@lockstep/worker/local-worker');
    const child = fork(program, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: heapLimits(process.execArgv),
    });
    const { url, backend, threads, token, fingerprint } = this.#options;
    const setup: LocalWorkerSetup = { url, name, backend, threads, token, fingerprint };
    // It may end before it gets this, which its end tells.
    child.once('message', () => child.send(setup, () => {}));
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

/** They hold for workers too; flags that load modules, or debug, are meant for this process alone. */
function heapLimits(flags: readonly string[]): string[] {
  return flags.filter((flag) => /^--max-(?:old|semi)-space-size/.test(flag));
}

/** The worker processes that a coordinator starts for itself; they end when it ends. */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { LocalWork, LocalWorkerAddress } from '@lockstep/worker';
import type { LocalWorkersSetup } from '../host.ts';

export interface LocalWorkersListener {
  /** Prints a line about a worker that ends before `stop`. */
  readonly log: (line: string) => void;
  /** Called when the last of them has ended by itself, not by a signal. */
  readonly onAllFailed: () => void;
}

/** What they join, and what hears of them from then on. */
export interface LocalWorkersRun extends LocalWorkersListener {
  readonly address: LocalWorkerAddress;
}

const stopTimeoutMs = 2_000;
/** How a worker ends after SIGINT or SIGTERM. */
const interruptedCode = 130;
const program = createRequire(import.meta.url).resolve('@lockstep/worker/local-worker');

/** A process that has ended, though it was not asked to. */
interface EarlyEnd {
  readonly name: string;
  /** Null where a signal ended it, or it could not be started. */
  readonly code: number | null;
  readonly lastLine: string;
}

/** They load, and open what they compute on, before there is a run to join. */
export class LocalWorkers {
  readonly #running = new Set<ChildProcess>();
  /** Loaded, but without an address. */
  readonly #ready = new Set<ChildProcess>();
  /** Before there was a run to tell. */
  readonly #earlyEnds: EarlyEnd[] = [];
  #run: LocalWorkersRun | undefined;
  #isStopping = false;

  constructor({ count, backend, threads }: LocalWorkersSetup) {
    for (let index = 1; index <= count; index++) this.#start({ name: `local-${index}`, backend, threads });
  }

  /** Each joins once it has loaded. */
  join(run: LocalWorkersRun): void {
    this.#run = run;
    for (const child of this.#ready) this.#send(child, run);
    for (const end of this.#earlyEnds.splice(0)) this.#report(end, run);
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

  #start(work: LocalWork): void {
    // A worker notices by its channel when this process is gone, however it went; secrets go there, where no list of
    // processes shows them.
    const child = fork(program, [JSON.stringify(work)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: heapLimits(process.execArgv),
    });
    child.once('message', () => {
      if (this.#run) this.#send(child, this.#run);
      else this.#ready.add(child);
    });
    this.#running.add(child);
    let lastLine = '';
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLine = line;
    });
    const onEnd = (code: number | null): void => {
      this.#ready.delete(child);
      if (!this.#running.delete(child) || this.#isStopping) return;
      const end = { name: work.name, code, lastLine };
      if (this.#run) this.#report(end, this.#run);
      else this.#earlyEnds.push(end);
    };
    child.on('error', () => onEnd(null));
    // `close`, unlike `exit`, comes after the last line has been read.
    child.on('close', onEnd);
  }

  /** It may end before it gets this, which its end tells. */
  #send(child: ChildProcess, { address }: LocalWorkersRun): void {
    child.send(address, () => {});
  }

  #report({ name, code, lastLine }: EarlyEnd, { log, onAllFailed }: LocalWorkersRun): void {
    const how = code === null ? 'killed' : `exit code ${code}`;
    log(`worker ${name} ended (${how})${lastLine === '' ? '' : `: ${lastLine}`}`);
    const isFailure = code !== null && code !== interruptedCode;
    if (this.#running.size === 0 && isFailure) onAllFailed();
  }
}

/** They hold for workers too; flags that load modules, or debug, are meant for this process alone. */
function heapLimits(flags: readonly string[]): string[] {
  return flags.filter((flag) => /^--max-(?:old|semi)-space-size/.test(flag));
}

/** The worker processes that a coordinator starts itself: kept from run to run, and ended with the coordinator. */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { LocalWork, LocalWorkerAddress } from '@lockstep/worker';
import type { LocalWorkersSetup } from '../prepared.ts';

export interface LocalWorkersListener {
  /** Prints a line about a worker that ends before `stop`. */
  readonly log: (line: string) => void;
  /** Called when the last worker has ended by itself, not by a signal. */
  readonly onAllFailed: () => void;
}

const stopTimeoutMs = 2_000;
/** Exit code of a worker after SIGINT or SIGTERM. */
const interruptedCode = 130;
const program = createRequire(import.meta.url).resolve('@lockstep/worker/local-worker');

/** A process that ended unexpectedly. */
interface EarlyEnd {
  readonly name: string;
  /** Null if a signal ended the process, or it could not be started. */
  readonly code: number | null;
  readonly lastLine: string;
}

/** Local workers load and open their backend before there is a run to join. */
export class LocalWorkers {
  readonly #running = new Set<ChildProcess>();
  /** Workers that have loaded but have no address yet. */
  readonly #ready = new Set<ChildProcess>();
  /** Workers that ended before there was a run to tell. */
  readonly #earlyEnds: EarlyEnd[] = [];
  #isStarted = false;
  /** Address to join; undefined before the first run. */
  #address: LocalWorkerAddress | undefined;
  /** The run that is told about the workers. */
  #listener: LocalWorkersListener | undefined;
  #stopped = Promise.resolve();

  /** Starts processes that load and wait for the first run, unless they have been started. */
  start({ count, backend, threads }: LocalWorkersSetup): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    for (let index = 1; index <= count; index++) this.#start({ name: `local-${index}`, backend, threads });
  }

  /** Lets the workers join, if they have not yet; ends them if the run turns out not to need them. */
  use(setup: LocalWorkersSetup, address: LocalWorkerAddress, listener: LocalWorkersListener): void {
    this.#listener = listener;
    if (setup.count === 0) {
      if (!this.#address) void this.stop();
      return;
    }
    this.start(setup);
    if (this.#address) return;
    this.#address = address;
    for (const child of this.#ready) send(child, address);
    for (const end of this.#earlyEnds.splice(0)) this.#report(end, listener);
  }

  /** Asks all workers to end, and kills those that have not after two seconds; resolves when all have ended. */
  stop(): Promise<void> {
    const running = [...this.#running];
    const ended = running.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
    this.#running.clear();
    this.#ready.clear();
    this.#isStarted = false;
    this.#address = undefined;
    this.#earlyEnds.length = 0;
    for (const child of running) child.kill('SIGTERM');
    const kill = setTimeout(() => {
      for (const child of running) child.kill('SIGKILL');
    }, stopTimeoutMs);
    this.#stopped = Promise.all([this.#stopped, ...ended]).then(() => clearTimeout(kill));
    return this.#stopped;
  }

  #start(work: LocalWork): void {
    // Through its channel, a worker notices the end of this process, whatever the cause. Secrets use the channel too,
    // which no process list shows.
    const child = fork(program, [JSON.stringify(work)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: heapLimits(process.execArgv),
    });
    child.once('message', () => {
      if (!this.#running.has(child)) return;
      if (this.#address) send(child, this.#address);
      else this.#ready.add(child);
    });
    this.#running.add(child);
    let lastLine = '';
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLine = line;
    });
    const onEnd = (code: number | null): void => {
      this.#ready.delete(child);
      if (!this.#running.delete(child)) return;
      const end = { name: work.name, code, lastLine };
      if (this.#address && this.#listener) this.#report(end, this.#listener);
      else this.#earlyEnds.push(end);
    };
    child.on('error', () => onEnd(null));
    // `close`, unlike `exit`, comes after the last line has been read.
    child.on('close', onEnd);
  }

  #report({ name, code, lastLine }: EarlyEnd, { log, onAllFailed }: LocalWorkersListener): void {
    const how = code === null ? 'killed' : `exit code ${code}`;
    log(`worker ${name} ended (${how})${lastLine === '' ? '' : `: ${lastLine}`}`);
    const isFailure = code !== null && code !== interruptedCode;
    if (this.#running.size === 0 && isFailure) onAllFailed();
  }
}

/** The process may end before it gets the address, which its exit event reports. */
function send(child: ChildProcess, address: LocalWorkerAddress): void {
  child.send(address, () => {});
}

/** Heap limits apply to workers too; flags that load modules or debug are meant only for this process. */
function heapLimits(flags: readonly string[]): string[] {
  return flags.filter((flag) => /^--max-(?:old|semi)-space-size/.test(flag));
}

/** The worker processes that a coordinator starts itself: kept from run to run, and ended with the coordinator. */

import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { LocalWorkersSetup } from '@lockstep/prepare';
import type { LocalWork } from '@lockstep/worker';
import type { FoundAddress } from '@lockstep/worker/options';
import { interruptedExitCode } from '@lockstep/worker/own-process';

interface LocalWorkersListener {
  /** Prints a line about a worker that ends before `stop`. */
  readonly log: (line: string) => void;
  /** Called when the last worker has ended by itself, not by a signal. */
  readonly onAllFailed: () => void;
}

const stopTimeoutMs = 2_000;

const program = createRequire(import.meta.url).resolve('@lockstep/worker/local-worker');

/** The address that started workers join, once it is known. */
class JoinPlace {
  isKnown = false;
  resolve: (address: FoundAddress) => void = () => {};
  readonly address = new Promise<FoundAddress>((resolve) => {
    this.resolve = resolve;
  });
}

/** Local workers load and open their backend before there is a run to join. */
export class LocalWorkers {
  readonly #running = new Set<ChildProcess>();
  /** Undefined until workers are started. */
  #place: JoinPlace | undefined;
  /** The run that is told about the workers. */
  #listener: LocalWorkersListener | undefined;
  #stopped = Promise.resolve();

  /** Starts processes that load and wait for the first run, unless they have been started. */
  start({ workers, backend, threads, vectors }: LocalWorkersSetup): void {
    if (this.#place) return;
    this.#place = new JoinPlace();
    for (let index = 1; index <= workers; index++) {
      this.#start({ name: `local-${index}`, backend, threads, vectors }, this.#place.address);
    }
  }

  /** Lets the workers join, if they have not yet; ends them if the run turns out not to need them. */
  use(setup: LocalWorkersSetup, address: FoundAddress, listener: LocalWorkersListener): void {
    this.#listener = listener;
    if (setup.workers > 0) this.start(setup);
    else if (!this.#place?.isKnown) void this.stop();
    if (setup.workers === 0 || !this.#place) return;
    this.#place.isKnown = true;
    this.#place.resolve(address);
  }

  /** Asks all workers to end, and kills those that have not after two seconds; resolves when all have ended. */
  stop(): Promise<void> {
    const running = [...this.#running];
    const ended = running.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
    this.#running.clear();
    this.#place = undefined;
    for (const child of running) child.kill('SIGTERM');
    const kill = setTimeout(() => {
      for (const child of running) child.kill('SIGKILL');
    }, stopTimeoutMs);
    this.#stopped = Promise.all([this.#stopped, ...ended]).then(() => clearTimeout(kill));
    return this.#stopped;
  }

  #start(work: LocalWork, address: Promise<FoundAddress>): void {
    // Through its channel, a worker notices the end of this process, whatever the cause. Secrets use the channel too,
    // which no process list shows.
    const child = fork(program, [JSON.stringify(work)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: heapLimits(process.execArgv),
    });
    this.#running.add(child);
    child.once('message', async () => {
      const place = await address;
      // The process may end before it gets the address, which its exit event reports.
      child.send(place, () => {});
    });
    let lastLine = '';
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLine = line;
    });
    const onEnd = async (code: number | null): Promise<void> => {
      if (!this.#running.delete(child)) return;
      // Until then there is no run to tell.
      await address;
      const how = code === null ? 'killed' : `exit code ${code}`;
      this.#listener?.log(`worker ${work.name} ended (${how})${lastLine === '' ? '' : `: ${lastLine}`}`);
      const isFailure = code !== null && code !== interruptedExitCode;
      if (this.#running.size === 0 && isFailure) this.#listener?.onAllFailed();
    };
    child.on('error', () => onEnd(null));
    // `close`, unlike `exit`, comes after the last line has been read.
    child.on('close', onEnd);
  }
}

/** Heap limits apply to workers too; flags that load modules or debug are meant only for this process. */
function heapLimits(flags: readonly string[]): string[] {
  return flags.filter((flag) => /^--max-(?:old|semi)-space-size/.test(flag));
}

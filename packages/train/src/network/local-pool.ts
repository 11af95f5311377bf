/** The local workers of a server: started before its first run, or with it, and kept from run to run where the server stays. */
import type { LocalWorkerAddress } from '@lockstep/worker';
import type { LocalWorkersSetup } from '../host.ts';
import { LocalWorkers, type LocalWorkersListener } from './local-workers.ts';

export class LocalPool {
  #workers: LocalWorkers | undefined;
  #hasJoined = false;
  #stopped = Promise.resolve();
  /** The run that hears of them. */
  #listener: LocalWorkersListener | undefined;

  /** Starts processes that load, and wait for the first run. */
  start(setup: LocalWorkersSetup): void {
    this.#workers ??= new LocalWorkers(setup);
  }

  /** Lets them join, if they have not yet; those that a run turns out not to need end. */
  use(setup: LocalWorkersSetup, address: LocalWorkerAddress, listener: LocalWorkersListener): void {
    this.#listener = listener;
    if (setup.count === 0) {
      if (!this.#hasJoined) void this.stop();
      return;
    }
    this.start(setup);
    if (this.#hasJoined) return;
    this.#hasJoined = true;
    this.#workers?.join({
      address,
      log: (line) => this.#listener?.log(line),
      onAllFailed: () => this.#listener?.onAllFailed(),
    });
  }

  /** Resolves when all that were started have ended. */
  stop(): Promise<void> {
    const workers = this.#workers;
    this.#workers = undefined;
    this.#hasJoined = false;
    if (workers) this.#stopped = Promise.all([this.#stopped, workers.stop()]).then(() => {});
    return this.#stopped;
  }
}

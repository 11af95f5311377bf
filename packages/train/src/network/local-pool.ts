/** The local workers of a server: started with its first run, and kept from run to run where the server stays. */
import { LocalWorkers, type LocalWorkersOptions } from './local-workers.ts';

/** The run that hears of them. */
type LocalWorkersListener = Pick<LocalWorkersOptions, 'log' | 'onAllFailed'>;

export class LocalPool {
  #workers: LocalWorkers | undefined;
  #listener: LocalWorkersListener | undefined;

  use(setup: Omit<LocalWorkersOptions, keyof LocalWorkersListener>, listener: LocalWorkersListener): void {
    this.#listener = listener;
    if (setup.count === 0) return;
    this.#workers ??= new LocalWorkers({
      ...setup,
      log: (line) => this.#listener?.log(line),
      onAllFailed: () => this.#listener?.onAllFailed(),
    });
  }

  async stop(): Promise<void> {
    await this.#workers?.stop();
    this.#workers = undefined;
  }
}

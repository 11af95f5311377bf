/** The run of this tab: a thread that trains, whose messages the store shows as it shows a coordinator's. */
import type { RunStore } from '@lockstep/web/page/watch/run-store.ts';
import { batch, signal } from '@preact/signals';
import type { StartRequest, TrainerAnswer, TrainerRequest } from './messages.ts';

export class LocalRun {
  readonly phase = signal<'idle' | 'preparing' | 'training'>('idle');
  /** Bytes of the digits that have arrived, as packed. */
  readonly loadedBytes = signal(0);
  /** Why the last run could not begin or go on. */
  readonly fault = signal('');
  /** Rows and columns that were found in the file; empty for MNIST. */
  readonly found = signal('');
  readonly #store: RunStore;
  #thread: Worker | undefined;

  constructor(store: RunStore) {
    this.#store = store;
    store.connection.value = { phase: 'live' };
  }

  start(request: Omit<StartRequest, 'type'>): void {
    this.#thread?.terminate();
    this.#thread = new Worker(new URL('./trainer.ts', import.meta.url), { type: 'module', name: 'trainer' });
    this.#thread.addEventListener('message', ({ data }: MessageEvent<TrainerAnswer>) => batch(() => this.#take(data)));
    this.#thread.addEventListener('error', ({ message }) => this.#end(message || 'its script did not load'));
    batch(() => {
      this.phase.value = 'preparing';
      this.fault.value = '';
      this.found.value = '';
      this.loadedBytes.value = 0;
    });
    this.#send({ type: 'start', ...request });
  }

  stop(): void {
    if (this.phase.value === 'training') this.#send({ type: 'stop' });
    else this.#end('');
  }

  requestWeights(): void {
    this.#send({ type: 'weights' });
  }

  #send(request: TrainerRequest): void {
    this.#thread?.postMessage(request);
  }

  #take(answer: TrainerAnswer): void {
    if (answer.type === 'loading') {
      this.loadedBytes.value = answer.bytes;
    } else if (answer.type === 'found') {
      this.found.value = answer.message;
    } else if (answer.type === 'fault') {
      this.#end(answer.message);
    } else {
      if (answer.type === 'run') this.phase.value = 'training';
      if (answer.type === 'result') this.phase.value = 'idle';
      this.#store.apply(answer);
    }
  }

  #end(fault: string): void {
    this.#thread?.terminate();
    this.#thread = undefined;
    this.phase.value = 'idle';
    this.fault.value = fault;
  }
}

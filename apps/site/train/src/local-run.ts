/** The run of this tab: a thread that trains, whose messages the store shows as it shows a coordinator's. */
import type { ReadingRequest } from '@lockstep/web/page/panels/data.tsx';
import type { RunStore } from '@lockstep/web/page/watch/run-store.ts';
import { batch, signal } from '@preact/signals';
import type { ReadFile, StartRequest, TableRequest, TrainerAnswer, TrainerRequest } from './messages.ts';

export class LocalRun {
  readonly phase = signal<'idle' | 'preparing' | 'training'>('idle');
  /** Bytes of the digits that have arrived, as packed. */
  readonly loadedBytes = signal(0);
  /** Why the last run could not begin or go on. */
  readonly fault = signal('');
  /** The table to train on; undefined for MNIST. */
  readonly table = signal<TableRequest>();
  /** The table's file, once it is read. */
  readonly read = signal<ReadFile>();
  readonly #store: RunStore;
  #thread: Worker | undefined;

  constructor(store: RunStore) {
    this.#store = store;
    store.connection.value = { phase: 'live' };
  }

  /** Trains the next run on a file, or on MNIST without one. */
  choose(file: File | undefined, reading: ReadingRequest = {}): void {
    batch(() => {
      // Another reading of the same file leaves the old one in its place until then, to avoid layout shift.
      if (file !== this.table.value?.file) this.read.value = undefined;
      this.table.value = file && { file, ...reading };
      this.fault.value = '';
    });
    if (this.table.value) this.#send({ type: 'read', table: this.table.value });
  }

  start(request: Pick<StartRequest, 'model' | 'epochs'>): void {
    batch(() => {
      this.phase.value = 'preparing';
      this.fault.value = '';
      this.loadedBytes.value = 0;
    });
    // Each run has a thread of its own, so that the memory of the last one is free.
    this.#thread?.terminate();
    this.#thread = undefined;
    this.#send({ type: 'start', table: this.table.value, ...request });
  }

  stop(): void {
    if (this.phase.value === 'training') this.#send({ type: 'stop' });
    else this.#end('');
  }

  requestWeights(): void {
    if (this.#thread) this.#send({ type: 'weights' });
  }

  #send(request: TrainerRequest): void {
    this.#thread ??= this.#startThread();
    this.#thread.postMessage(request);
  }

  #startThread(): Worker {
    const thread = new Worker(new URL('./trainer.ts', import.meta.url), { type: 'module', name: 'trainer' });
    thread.addEventListener('message', ({ data }: MessageEvent<TrainerAnswer>) => batch(() => this.#take(data)));
    thread.addEventListener('error', ({ message }) => this.#end(message || 'its script did not load'));
    return thread;
  }

  #take(answer: TrainerAnswer): void {
    if (answer.type === 'loading') {
      this.loadedBytes.value = answer.bytes;
    } else if (answer.type === 'read') {
      if (this.table.value) this.read.value = answer;
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

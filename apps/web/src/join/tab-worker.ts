/** This tab's worker as the page sees it: starts its thread, shows its state, and rejoins after a reload. */

import {
  type JoinRequest,
  openingState,
  type PageMessage,
  startWorkerThread,
  type TabState,
  type Workload,
} from '@lockstep/worker/browser';
import { type ReadonlySignal, signal } from '@preact/signals';
import { type Secrets, socketAddress } from '../address.ts';
import type { RunStore } from '../watch/run-store.ts';

type Membership = Pick<JoinRequest, 'name' | 'backend' | 'threads' | 'resumeKey'>;

const storageKey = 'lockstep.tab';

export class TabWorker {
  readonly state = signal<TabState>({ phase: 'watching' });
  readonly #store: RunStore;
  readonly #secrets: ReadonlySignal<Secrets>;
  #thread: Worker | undefined;
  #membership: Membership | undefined;
  #releaseLock = (): void => {};

  constructor(store: RunStore, secrets: ReadonlySignal<Secrets>) {
    this.#store = store;
    this.#secrets = secrets;
    document.addEventListener('visibilitychange', () => this.#post({ type: 'hidden', hidden: document.hidden }));
    // Stored only while the page goes away, so that a duplicate of this tab does not take over its identity.
    addEventListener('pagehide', () => {
      const { value: state } = this.state;
      if (!('resumeKey' in state)) return;
      sessionStorage.setItem(storageKey, JSON.stringify({ ...this.#membership, resumeKey: state.resumeKey }));
    });
    const stored = sessionStorage.getItem(storageKey);
    sessionStorage.removeItem(storageKey);
    if (stored !== null) this.join(JSON.parse(stored) as Membership);
  }

  get id(): string | undefined {
    const { value: state } = this.state;
    return 'id' in state ? state.id : undefined;
  }

  join(membership: Membership): void {
    this.#membership = membership;
    this.state.value = openingState(membership.resumeKey);
    this.#thread = startWorkerThread();
    this.#thread.addEventListener('message', ({ data }: MessageEvent<TabState>) => this.#setState(data));
    this.#thread.addEventListener('error', ({ message: error }) => {
      const message = error ? `the worker of this tab failed: ${error}` : 'its script did not load';
      this.#setState({ phase: 'ended', end: 'failed', message });
    });
    this.#releaseLock = holdLock();
    const { token } = this.#secrets.value;
    this.#post({ type: 'hidden', hidden: document.hidden });
    this.#post({ type: 'join', url: socketAddress('/'), token, workload: this.#workload(), ...membership });
  }

  leave(): void {
    this.#post({ type: 'leave' });
  }

  #setState(state: TabState): void {
    this.state.value = state;
    if (state.phase !== 'ended') return;
    this.#thread?.terminate();
    this.#thread = undefined;
    this.#releaseLock();
  }

  #post(message: PageMessage): void {
    this.#thread?.postMessage(message);
  }

  #workload(): Workload | undefined {
    const { value: run } = this.#store.run;
    if (!run) return undefined;
    const { microbatchSize } = run.config;
    return { model: run.model, microbatchSize, samples: microbatchSize * Math.ceil(run.microbatches / 2) };
  }
}

/** Holds a lock, which keeps browsers from freezing a hidden tab; does nothing outside of secure contexts. */
function holdLock(): () => void {
  const locks = (navigator as { readonly locks?: LockManager }).locks;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  void locks?.request('lockstep-worker', { mode: 'shared' }, () => released);
  return release;
}

/** The thread of a tab's worker, as the page sees it. */
import type { EndedState, JoinRequest, PageMessage, TabState } from './tab-state.ts';

type ThreadState = Exclude<TabState, { phase: 'watching' }>;

/** Ends with the state that says so. */
export class TabThread {
  readonly #onState: (state: ThreadState) => void;
  readonly #thread: Worker;
  readonly #releaseLock: () => void;

  constructor(request: Omit<JoinRequest, 'type'>, onState: (state: ThreadState) => void) {
    this.#onState = onState;
    // The name is that of the built file, which bundlers look for beside this one.
    this.#thread = new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module', name: 'lockstep' });
    this.#thread.addEventListener('message', ({ data }: MessageEvent<ThreadState>) => this.#setState(data));
    this.#thread.addEventListener('error', ({ message: error }) => {
      const message = error ? `the worker of this tab failed: ${error}` : 'its script did not load';
      this.#setState({ phase: 'ended', end: 'failed', message });
    });
    this.#releaseLock = holdLock();
    globalThis.document?.addEventListener('visibilitychange', this.#postHidden);
    this.#postHidden();
    this.#post({ type: 'join', ...request });
  }

  leave(): void {
    this.#post({ type: 'leave' });
  }

  readonly #postHidden = (): void => {
    this.#post({ type: 'hidden', hidden: globalThis.document?.hidden ?? false });
  };

  #setState(state: ThreadState | EndedState): void {
    if (state.phase === 'ended') {
      this.#thread.terminate();
      this.#releaseLock();
      globalThis.document?.removeEventListener('visibilitychange', this.#postHidden);
    }
    this.#onState(state);
  }

  #post(message: PageMessage): void {
    this.#thread.postMessage(message);
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

/**
 * Joins a run and computes for it, in a page.
 * @module
 */
import { configurationError, optionName } from '@lockstep/command/options';
import { type JoinContext, type JoinEnd, JoinError, JoinedWorker } from '../joined-worker.ts';
import { joinAddress } from '../options.ts';
import {
  type ActiveState,
  type EndedState,
  type JoinRequest,
  mostThreads,
  type PageMessage,
  type TabBackend,
  type TabState,
  usualThreads,
} from './tab.ts';

export { ConfigurationError, configurationError, type NamedOption, optionName } from '@lockstep/command/options';
export { EventStream, type JoinEnd, JoinError, type JoinedWorker, type WorkerEvent } from '../joined-worker.ts';
export { reconnectDelayMs } from '../membership.ts';
export {
  type ComputeChoice,
  computeChoices,
  defaultThreads,
  isHostChoice,
  requireThreads,
  type VectorChoice,
} from '../options.ts';
export { systemClock } from '../system-clock.ts';
export {
  type ActiveState,
  type EndedState,
  mostThreads,
  oneThreadReason,
  openingState,
  type TabBackend,
  type TabState,
  tabThreads,
  usualThreads,
  type Workload,
} from './tab.ts';

/** How a page takes part in a run. */
export interface JoinOptions {
  /** Name in the run's tables; by default `tab`. */
  readonly name?: string | undefined;
  /** `auto`, the default, is the CPU; `webgpu` and `webgl` are the GPU. */
  readonly backend?: TabBackend | undefined;
  /** Compute threads, if the CPU computes; by default all cores but one if the page is isolated, else 1. */
  readonly threads?: number | undefined;
  /** The secret of the run, if the address does not contain it. */
  readonly token?: string | undefined;
  /** Aborted to make the worker leave, as `leave` does. */
  readonly signal?: AbortSignal | undefined;
}

const backends: readonly TabBackend[] = ['auto', 'cpu', 'webgpu', 'webgl'];

/**
 * Computes for a run in a Web Worker of this page until the run is over, and reconnects by itself
 * if the connection breaks. The run must let pages of this origin join (`listen.allowOrigins`), unless the page comes from the run
 * itself.
 * @param url the join address of the run, such as `ws://127.0.0.1:7070`
 */
export function join(url: string, options: JoinOptions = {}): JoinedWorker {
  return new JoinedWorker((context) => takePart(url, options, context), options.signal);
}

async function takePart(url: string, options: JoinOptions, { emit, leaving }: JoinContext): Promise<JoinEnd> {
  const { name = 'tab', backend = 'auto', threads = usualThreads() } = options;
  const address = joinAddress(url, options);
  if (!backends.includes(backend)) {
    throw configurationError`${optionName('backend')}: expected one of ${backends.join(', ')} in a page, got ${backend}`;
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads()) {
    throw configurationError`${optionName('threads')}: expected a whole number from 1 to ${mostThreads()} in this page, got ${threads}`;
  }
  return new Promise((resolve, reject) => {
    const emitChanges = stateEvents(emit);
    const request = { url: address.url, token: address.token, name, backend, threads, workload: undefined };
    const thread = new TabThread(request, (state) => {
      if (state.phase !== 'ended') {
        emitChanges(state);
        return;
      }
      leaving.removeEventListener('abort', leave);
      settle(state, resolve, reject);
    });
    const leave = (): void => thread.leave();
    leaving.addEventListener('abort', leave);
    if (leaving.aborted) leave();
  });
}

function settle({ end, message }: EndedState, resolve: (end: JoinEnd) => void, reject: (error: Error) => void): void {
  if (end === 'finished' || end === 'left') resolve({ type: end, message });
  else reject(new JoinError(end, message));
}

/** Converts changes between states of the thread into events. */
function stateEvents(emit: JoinContext['emit']): (state: ActiveState) => void {
  let before: ActiveState | undefined;
  let hasJoined = false;
  return (state) => {
    const { phase, backend, threads = 1, reasons, id, step, shards, samples, computeMs } = state;
    const isNew = phase !== before?.phase;
    if (backend !== undefined && backend !== before?.backend) emit({ type: 'opened', backend, threads, reasons });
    if (phase === 'joining' && id !== undefined && (isNew || id !== before?.id)) {
      emit({ type: 'joined', id, returned: hasJoined });
      hasJoined = true;
    }
    if (phase === 'computing' && isNew) emit({ type: 'ready' });
    if (step !== undefined && shards !== before?.shards) emit({ type: 'computed', step, shards, samples, computeMs });
    if (phase === 'reconnecting' && isNew) emit({ type: 'lost', message: state.retryReason ?? '' });
    before = state;
  };
}

type ThreadState = Exclude<TabState, { phase: 'watching' }>;

/** The page's handle of its worker's thread, which ends when its state says so. */
export class TabThread {
  readonly #onState: (state: ThreadState) => void;
  readonly #thread: Worker;
  readonly #releaseLock: () => void;

  constructor(request: Omit<JoinRequest, 'type'>, onState: (state: ThreadState) => void) {
    this.#onState = onState;
    // The file name is that of the build, next to which bundlers look for it.
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

/** Holds a lock, which keeps browsers from freezing a hidden tab; does nothing outside secure contexts. */
function holdLock(): () => void {
  const locks = (navigator as { readonly locks?: LockManager }).locks;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  void locks?.request('lockstep-worker', { mode: 'shared' }, () => released);
  return release;
}

/** This tab as a worker, as the page sees it: starts it, follows it, and remembers it over a reload. */
import { type ReadonlySignal, signal } from '@preact/signals';
import type { EndReason, PageMessage, TabMessage, Workload } from './messages.ts';
import type { TabBackend } from './open.ts';

export type TabState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'ended'; readonly reason: EndReason; readonly message: string }
  | ({
      /** opening a backend; greeting the coordinator and showing its arithmetic; taking part; coming back. */
      readonly phase: 'opening' | 'joining' | 'computing' | 'retrying';
    } & Taking);

interface Taking {
  readonly id?: string;
  readonly backend?: string;
  readonly device?: string | undefined;
  /** Why it computes on nothing better. */
  readonly refused: readonly string[];
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  /** Why it is not in the room at the moment. */
  readonly trouble?: string;
}

export interface JoinChoice {
  readonly name: string;
  readonly backend: TabBackend;
}

export interface TabWorker {
  readonly state: ReadonlySignal<TabState>;
  join(choice: JoinChoice): void;
  leave(): void;
}

export interface TabWorkerOptions {
  /** WebSocket address of the coordinator. */
  readonly url: string;
  readonly token: () => string | undefined;
  readonly workload: () => Workload | undefined;
}

const storageKey = 'lockstep.tab';

interface Remembered extends JoinChoice {
  readonly resumeKey?: string | undefined;
}

export function createTabWorker({ url, token, workload }: TabWorkerOptions): TabWorker {
  const state = signal<TabState>({ phase: 'idle' });
  let worker: Worker | undefined;
  let choice: JoinChoice | undefined;
  let resumeKey: string | undefined;
  let releaseLock = (): void => {};

  const send = (message: PageMessage): void => worker?.postMessage(message);

  const change = (changes: Partial<Taking> & { readonly phase?: 'joining' | 'computing' | 'retrying' }): void => {
    const { value } = state;
    if (value.phase === 'idle' || value.phase === 'ended') return;
    state.value = { ...value, ...changes };
  };

  const end = (reason: EndReason, message: string): void => {
    worker?.terminate();
    worker = undefined;
    releaseLock();
    state.value = { phase: 'ended', reason, message };
  };

  const onMessage = (message: TabMessage): void => {
    switch (message.type) {
      case 'opened': {
        const { backend, refused, device } = message;
        change({ phase: 'joining', backend, refused, device });
        return;
      }
      case 'welcomed':
        resumeKey = message.resumeKey;
        change({ phase: 'joining', id: message.id });
        return;
      case 'ready':
        change({ phase: 'computing' });
        return;
      case 'computed': {
        const { shards, samples, computeMs } = message;
        change({ shards, samples, computeMs });
        return;
      }
      case 'retrying':
        change({ phase: 'retrying', trouble: message.message });
        return;
      case 'ended':
        end(message.reason, message.message);
        return;
      default:
        message satisfies never;
    }
  };

  const start = (given: Remembered): void => {
    if (worker) return;
    choice = { name: given.name, backend: given.backend };
    resumeKey = given.resumeKey;
    state.value = { phase: 'opening', refused: [], shards: 0, samples: 0, computeMs: 0 };
    worker = new Worker(new URL('./tab-worker.ts', import.meta.url), { type: 'module', name: 'lockstep' });
    worker.addEventListener('message', ({ data }: MessageEvent<TabMessage>) => onMessage(data));
    worker.addEventListener('error', (event) => {
      end('failed', event.message ? `the worker of this tab failed: ${event.message}` : 'its script did not load');
    });
    releaseLock = holdAwake();
    send({ type: 'hidden', hidden: document.hidden });
    send({ type: 'join', url, token: token(), workload: workload(), ...choice, resumeKey });
  };

  document.addEventListener('visibilitychange', () => send({ type: 'hidden', hidden: document.hidden }));
  // Written only while the page goes away, so that a tab that is duplicated does not take over the first one's identity.
  addEventListener('pagehide', () => {
    if (worker && choice) sessionStorage.setItem(storageKey, JSON.stringify({ ...choice, resumeKey }));
  });
  const remembered = sessionStorage.getItem(storageKey);
  sessionStorage.removeItem(storageKey);
  if (remembered !== null) start(JSON.parse(remembered) as Remembered);

  return {
    state,
    join: (given) => start(given),
    leave: () => send({ type: 'leave' }),
  };
}

/** A browser may freeze a hidden tab; one that holds a lock it leaves alone. Locks exist in secure contexts only. */
function holdAwake(): () => void {
  const locks = (navigator as { readonly locks?: LockManager }).locks;
  if (!locks) return () => {};
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  void locks.request('lockstep-worker', { mode: 'shared' }, () => held);
  return release;
}

/** This tab's worker as the page sees it: starts its thread, shows its state, and rejoins after a reload. */
import { printableText } from '@lockstep/data/shown';
import { isPrintableLine, maxNameLength } from '@lockstep/protocol';
import { openingState, type TabBackend, type TabState, TabThread, type Workload } from '@lockstep/worker/browser';
import { computed, effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import { type Secrets, socketAddress } from '../address.ts';
import type { RunStore } from '../watch/run-store.ts';
import { tabStatusOf } from '../watch/status.ts';

interface Membership {
  readonly name: string;
  readonly backend: TabBackend;
  readonly threads: number;
  readonly resumeKey?: string | undefined;
}

/** Enough inner steps to tell which backend is faster. */
const triedInnerSteps = 8;

const storageKey = 'lockstep.tab';

export class TabWorker {
  readonly state = signal<TabState>({ phase: 'watching' });
  /** The status on this tab's card. */
  readonly status = computed(() => {
    const { workers, status } = this.#store;
    return tabStatusOf(
      this.state.value,
      status.value,
      workers.value.find(({ id }) => id === this.id),
    );
  });
  /** Ids of the workers that this tab has been in the current run, to find them in its report. */
  readonly ids = new Set<string>();
  readonly #store: RunStore;
  readonly #secrets: ReadonlySignal<Secrets>;
  #thread: TabThread | undefined;
  #membership: Membership | undefined;
  /** How to join again as soon as this tab has left. */
  #next: Membership | undefined;

  constructor(store: RunStore, secrets: ReadonlySignal<Secrets>) {
    this.#store = store;
    this.#secrets = secrets;
    let wasOver = false;
    // Each run numbers its workers from 1, so an id of the last run may now belong to another worker.
    effect(() => {
      const isOver = store.isOver.value;
      if (wasOver && !isOver) {
        this.ids.clear();
        untracked(() => this.#noteId());
      }
      wasOver = isOver;
    });
    // Stored only when the page goes away, so that a duplicate of this tab does not take over its identity.
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
    const { token } = this.#secrets.value;
    // A restarted server finds the tabs that stayed for another run.
    const request = { url: socketAddress('/'), token, workload: this.#workload(), outlivesServer: true, ...membership };
    this.#thread = new TabThread(request, (state) => {
      if (state.phase === 'ended' && this.#next) {
        const next = this.#next;
        this.#next = undefined;
        this.join(next);
        return;
      }
      this.state.value = state;
      this.#noteId();
      if (state.phase === 'ended') this.#thread = undefined;
    });
  }

  /** Comes back under another name, as the same worker. */
  rename(text: string): void {
    const { value: state } = this.state;
    const name = chooseDeviceName(text);
    if (!this.#membership || !('resumeKey' in state)) return;
    this.#next = { ...this.#membership, name, resumeKey: state.resumeKey };
    this.#thread?.leave();
  }

  leave(): void {
    this.#next = undefined;
    this.#thread?.leave();
    // With `#join` in its address, the page would rejoin after a reload.
    if (location.hash === '#join') history.replaceState(null, '', `${location.pathname}${location.search}`);
  }

  /** Notes the worker's id, unless its connection is lost: the run of that connection may be over. */
  #noteId(): void {
    const { value: state } = this.state;
    const isConnected = state.phase === 'joining' || state.phase === 'computing';
    if (isConnected && state.id !== undefined) this.ids.add(state.id);
  }

  #workload(): Workload | undefined {
    const { value: run } = this.#store.run;
    if (!run) return undefined;
    const { model, sampleField, targetField } = run;
    const { microbatchSize, diloco } = run.config;
    const setup = { model, microbatchSize, format: { sampleField, targetField } };
    if (diloco) {
      const { batch, learningRate, momentum } = diloco;
      const innerSteps = { batch, learningRate, momentum };
      return { ...setup, innerSteps, samples: triedInnerSteps * batch };
    }
    return { ...setup, samples: microbatchSize * Math.ceil(run.microbatches / 2) };
  }
}

const nameKey = 'lockstep.name';

export function deviceName(): string {
  const stored = localStorage.getItem(nameKey) ?? '';
  return isPrintableLine(stored, maxNameLength) ? stored : defaultName();
}

/** Stores a name for the next visit and returns it; a name that the coordinator would refuse restores the default. */
export function chooseDeviceName(text: string): string {
  localStorage.setItem(nameKey, printableText(text));
  return deviceName();
}

/** Checked in this order: Edge also claims to be Chrome, and Chrome to be Safari. */
const browsers = { 'Edg/': 'Edge', 'Firefox/': 'Firefox', 'Chrome/': 'Chrome', 'Safari/': 'Safari' };
const systems = {
  Android: 'Android',
  iPhone: 'iPhone',
  iPad: 'iPad',
  Windows: 'Windows',
  CrOS: 'ChromeOS',
  'Mac OS X': 'Mac',
  Linux: 'Linux',
};

/** Returns a name such as "Chrome on Android". */
function defaultName(): string {
  const find = (names: Readonly<Record<string, string>>): string | undefined =>
    Object.entries(names).find(([mark]) => navigator.userAgent.includes(mark))?.[1];
  const system = find(systems);
  return `${find(browsers) ?? 'Browser'}${system === undefined ? '' : ` on ${system}`}`;
}

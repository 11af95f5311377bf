/** A fleet in virtual time: real coordinators and finders, and a store that loses writes and requests. */
import { deserialize, serialize } from 'node:v8';
import { Fleet, type FleetStore, type FleetTime, RevisionConflict, type Versioned } from '@lockstep/fleet';
import type { Clock } from '@lockstep/protocol';
import type { FleetFinder, RunCopy, SimulatedFleet, SimulatedMember, StoreFaults } from '@lockstep/sim';

const run = 'simulated';
/** All coordinators of a simulation train the same run. */
const claim = { config: '{}', differenceFrom: () => undefined };

/** Opens a fleet. @param clock of the simulation */
export function openSimulatedFleet(clock: Clock): SimulatedFleet {
  const store = new SimulatedStore(clock);
  return {
    store,
    coordinator: (process, name) => coordinatorOf(new Fleet(store.reach(process, name), run, timeOf(process)), name),
    finder: (process) => finderOf(new Fleet(store.reach(process, 'worker'), run, timeOf(process))),
  };
}

function coordinatorOf(fleet: Fleet, name: string): SimulatedMember {
  const { signal } = new AbortController();
  const coordinator = fleet.coordinator({ standby: true, name, signal, log: () => {} });
  return {
    deposed: new Promise((resolve) => coordinator.deposed.addEventListener('abort', () => resolve())),
    open: () => coordinator.open(claim),
    async newest() {
      for (const { read } of await coordinator.list()) {
        try {
          return deserialize(await read()) as RunCopy;
        } catch {
          // Try the previous checkpoint.
        }
      }
      return undefined;
    },
    async write(checkpoint) {
      await coordinator.write(run, checkpoint.step, serialize(checkpoint));
    },
    removeAfter: (step) => coordinator.removeAfter(run, step),
    announce: () => coordinator.announce({ url: `ws://${encodeURIComponent(name)}` }),
    close: () => coordinator.close(),
  };
}

function finderOf(fleet: Fleet): FleetFinder {
  const finder = fleet.finder();
  const { signal } = new AbortController();
  return {
    async find() {
      const found = await finder.find();
      return found && decodeURIComponent(found.url.slice('ws://'.length));
    },
    changed: () => finder.changed(signal),
  };
}

/** Returns a process's timers in virtual time. */
function timeOf(process: Clock): FleetTime {
  return {
    nowMs: () => process.nowMs(),
    pause: (ms) => new Promise((resolve) => process.after(ms, resolve)),
  };
}

/** One-way latency. */
const latencyMs = 5;
/** Time after which a request counts as unanswered. */
const timeoutMs = 2_000;
/** Most writes that can be lost at once. */
const mostLost = 16;

/** Requests take time or go unanswered, and acknowledged writes may be lost. */
export class SimulatedStore implements StoreFaults {
  readonly #clock: Clock;
  readonly #values = new Map<string, Versioned>();
  readonly #objects = new Map<string, Uint8Array>();
  #revision = 0;
  /** Functions that undo the newest writes, newest last. */
  #undo: (() => void)[] = [];
  /** End of each outage, by process name, or '' for all processes. */
  readonly #awayUntilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  away(forMs: number, name = ''): void {
    this.#awayUntilMs.set(name, Math.max(this.#awayUntilMs.get(name) ?? 0, this.#clock.nowMs() + forMs));
  }

  loseNewestWrites(count: number): number {
    const lost = this.#undo.splice(-count);
    for (const undo of lost.reverse()) undo();
    return lost.length;
  }

  /** @param process makes the requests, so that it gets no answer while it is frozen. @param name of that process */
  reach(process: Clock, name: string): FleetStore {
    const ask = async <Value>(use: () => Value): Promise<Value> => {
      const wait = (ms: number): Promise<void> => new Promise((resolve) => process.after(ms, resolve));
      const pass = async (): Promise<void> => {
        await wait(latencyMs);
        if (!this.#isAway(name)) return;
        await wait(timeoutMs);
        throw new Error('the store does not answer');
      };
      await pass();
      const result = settled(use);
      // The request takes effect even if its answer is lost.
      await pass();
      return result();
    };
    return {
      place: 'the simulated store',
      close: async () => {},
      values: {
        get: (key) => ask(() => this.#values.get(key)),
        put: (key, value) => ask(() => this.#write(key, value)),
        create: (key, value) => ask(() => this.#write(key, value, 0)),
        update: (key, value, revision) => ask(() => this.#write(key, value, revision)),
      },
      objects: {
        put: (object, bytes) => ask(() => this.#put(object, bytes.slice())),
        get: (object) => ask(() => this.#objects.get(object)),
        remove: (object) => ask(() => this.#remove(object)),
      },
    };
  }

  #isAway(name: string): boolean {
    const untilMs = Math.max(this.#awayUntilMs.get('') ?? 0, this.#awayUntilMs.get(name) ?? 0);
    return this.#clock.nowMs() < untilMs;
  }

  /** @param expected the current revision, 0 if the key must not exist; omitted if any revision will do */
  #write(key: string, value: string, expected?: number): number {
    const before = this.#values.get(key);
    if (expected !== undefined && (before?.revision ?? 0) !== expected) throw new RevisionConflict(key);
    this.#revision += 1;
    this.#values.set(key, { value, revision: this.#revision });
    this.#note(() => {
      // The next write reuses the revision of the lost one, as in a log that ends earlier.
      this.#revision -= 1;
      restore(this.#values, key, before);
    });
    return this.#revision;
  }

  #put(name: string, bytes: Uint8Array): void {
    const before = this.#objects.get(name);
    this.#objects.set(name, bytes);
    this.#note(() => restore(this.#objects, name, before));
  }

  #remove(name: string): void {
    const before = this.#objects.get(name);
    this.#objects.delete(name);
    this.#note(() => restore(this.#objects, name, before));
  }

  #note(undo: () => void): void {
    this.#undo = [...this.#undo, undo].slice(-mostLost);
  }
}

function restore<Key, Value>(map: Map<Key, Value>, key: Key, before: Value | undefined): void {
  if (before === undefined) map.delete(key);
  else map.set(key, before);
}

/** Runs a call and keeps its value or error for later. */
function settled<Value>(use: () => Value): () => Value {
  try {
    const value = use();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

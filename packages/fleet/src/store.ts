/** The interfaces of a shared store and of a clock with timers, which tests replace, and the errors of a fleet. */
import { setTimeout as delay } from 'node:timers/promises';

/** A value with its revision. */
export interface Versioned {
  readonly value: string;
  /** Increases with each write of the value. */
  readonly revision: number;
}

/** Another process wrote first. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
}

/** Small texts by key; each write has its own revision. */
export interface KeyValues {
  get(key: string): Promise<Versioned | undefined>;
  put(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict if the key has a value */
  create(key: string, value: string): Promise<number>;
  /** @throws RevisionConflict if the value has another revision */
  update(key: string, value: string, revision: number): Promise<number>;
}

/** Byte objects by name. */
export interface Objects {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Returns undefined if there is none. @throws Error if the object is incomplete */
  get(name: string): Promise<Uint8Array | undefined>;
  remove(name: string): Promise<void>;
}

/** Shared store of a fleet. Any method fails with an Error of one phrase if no answer comes. */
export interface FleetStore {
  readonly values: KeyValues;
  readonly objects: Objects;
  /** Address of the store, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** A fleet could not do what a person asked for; the message is one sentence. */
export class FleetError extends Error {
  override readonly name = 'FleetError';
  /** The option at fault. */
  readonly option: 'fleet' | 'run' | 'fleet-credentials';
  /** Whether the same options may work later: the servers were unreachable, or did not answer. */
  readonly mayPass: boolean;

  constructor(message: string, option: FleetError['option'] = 'fleet', mayPass = false) {
    super(message);
    this.option = option;
    this.mayPass = mayPass;
  }
}

/** Clock and timers of a machine or a simulation. */
export interface FleetTime {
  readonly nowMs: () => number;
  /** Resolves after `ms` milliseconds, or when the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const systemTime: FleetTime = {
  nowMs: () => performance.now(),
  pause: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
};

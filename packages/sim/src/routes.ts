/** Finds a simulated worker's coordinator: at one address, or through a fleet. */

import type { Clock, MessageOf } from '@lockstep/protocol';
import type { RunCopy } from './problem.ts';
import { restartMs } from './simulated-process.ts';
import type { Listener, Route } from './simulated-worker.ts';

/** Address of the leading coordinator. */
export const topAddress = 'ws://coordinator';

/** Returns the address of a named process. */
export function addressOf(name: string): string {
  return `ws://${name.replaceAll(' ', '-')}`;
}

interface TreeRouteOptions {
  /** The address that the process was given. */
  readonly home: string;
  /** Returns the listener at an address. @throws Error if it is not known */
  readonly at: (address: string) => Promise<Listener | undefined>;
  readonly isRunOver: () => boolean;
  readonly process: Clock;
}

/** Finds what a worker or relay in a tree joins: its own place first, then in turn the others that it was told of. */
export class TreeRoute implements Route {
  readonly #options: TreeRouteOptions;
  #home: string;
  #others: readonly string[] = [];
  /** Attempts since the last welcome. */
  #attempts = 0;

  constructor(options: TreeRouteOptions) {
    this.#options = options;
    this.#home = options.home;
  }

  /** Makes this its own place. */
  moveTo(address: string): void {
    this.#home = address;
    this.#attempts = 0;
  }

  /** A relay with another numeric mode refuses the worker; the coordinator does not. */
  noteRefusal(): void {
    this.moveTo(topAddress);
  }

  noteWelcome({ addresses = [] }: MessageOf<'welcome'>): void {
    this.#attempts = 0;
    this.#others = addresses;
  }

  async find(): Promise<Listener | undefined> {
    const places = [...new Set([this.#home, ...this.#others])];
    for (let tried = 0; tried < places.length; tried++) {
      const place = places[this.#attempts % places.length]!;
      this.#attempts += 1;
      const listener = await this.#options.at(place).catch(() => undefined);
      if (listener?.process) return listener;
    }
    throw new Error(`${places.join(' and ')} do not answer`);
  }

  async goesOn(): Promise<boolean> {
    await new Promise<void>((resolve) => this.#options.process.after(restartMs, resolve));
    return !this.#options.isRunOver();
  }
}

/** Returns a route to a fleet's leading coordinator. @param named returns the coordinator with a name */
export function fleetRoute(finder: FleetFinder, named: (name: string) => Listener | undefined): Route {
  return {
    async find() {
      for (;;) {
        const name = await finder.find();
        if (name === undefined) return undefined;
        const listener = named(name);
        if (listener?.process) return listener;
        // The next attempt may be seconds away, so a coordinator that takes over is joined as soon as it is known.
        if (!(await finder.changed())) throw new Error(`${name} does not answer`);
      }
    },
    async goesOn() {
      await finder.changed();
      return finder.find().then(
        (name) => name !== undefined,
        () => true,
      );
    },
  };
}

export interface SimulatedFleet {
  /** @param process runs the coordinator's requests and timers */
  coordinator(process: Clock, name: string): SimulatedMember;
  finder(process: Clock): FleetFinder;
  readonly store: StoreFaults;
}

/** A coordinator's part in a fleet. */
export interface SimulatedMember {
  /** Resolves when this process should train. @throws Error if it should not, or if the store does not answer */
  open(): Promise<void>;
  /** Resolves when another process leads. */
  readonly deposed: Promise<void>;
  /** Returns the newest readable checkpoint. @throws Error if the store does not answer */
  newest(): Promise<RunCopy | undefined>;
  /** Stores a checkpoint. @throws Error if the store does not accept it */
  write(checkpoint: RunCopy): Promise<void>;
  /** Removes the checkpoints of later steps. @throws Error if the store does not answer */
  removeAfter(step: number): Promise<void>;
  /** Announces this coordinator to workers as the one that leads the run. */
  announce(): Promise<void>;
  /** Gives up the lead. */
  close(): Promise<void>;
}

/** A worker's part in a fleet. */
export interface FleetFinder {
  /** Returns the name of the leading coordinator; undefined if the run is over. @throws Error if none is known */
  find(): Promise<string | undefined>;
  /** Waits for a while for another coordinator. @returns whether there is one */
  changed(): Promise<boolean>;
}

/** Faults of the store. */
export interface StoreFaults {
  /** Leaves all requests unanswered for this long, or only those of the named process. */
  away(forMs: number, name?: string): void;
  /** Takes back up to this many of the newest acknowledged writes; returns how many. */
  loseNewestWrites(count: number): number;
}

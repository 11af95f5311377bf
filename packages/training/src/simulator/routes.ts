/** Routes by which simulated workers find a coordinator: through relays, or through a fleet. */

import type { MessageOf } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { FleetFinder } from './simulated-fleet.ts';
import type { Listener, Route } from './simulated-worker.ts';

/** Of the coordinator that leads. */
export const topAddress = 'ws://coordinator';

/** The address of what has a name. */
export function addressOf(name: string): string {
  return `ws://${name.replaceAll(' ', '-')}`;
}

export interface TreeRouteOptions {
  /** The address that it was given. */
  readonly home: string;
  /** What listens at an address now. @throws Error where that is not known */
  readonly at: (address: string) => Promise<Listener | undefined>;
  readonly isRunOver: () => boolean;
  readonly process: Clock;
}

/** How long a process that was sent away waits until it is started again. */
const restartMs = 2_000;

/** How a worker or a relay finds what it joins in a tree: its own place first, then the others that it was told of, in turn. */
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

  /** From now on this is its own place. */
  moveTo(address: string): void {
    this.#home = address;
    this.#attempts = 0;
  }

  /** A relay that rounds in another way refuses it: the coordinator does not. */
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

/** @param named the coordinator of a name */
export function fleetRoute(finder: FleetFinder, named: (name: string) => Listener | undefined): Route {
  return {
    async find() {
      for (;;) {
        const name = await finder.find();
        if (name === undefined) return undefined;
        const listener = named(name);
        if (listener?.process) return listener;
        // The next attempt may be seconds away: a coordinator that takes over is joined as soon as it is known.
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

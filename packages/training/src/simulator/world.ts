/** What faults act on, and how they draw. */

import type { Clock } from '../clock.ts';
import type { SimulatedCoordinator } from './simulated-coordinator.ts';
import type { SimulatedFleet } from './simulated-fleet.ts';
import type { SimulatedRelay } from './simulated-relay.ts';
import type { SimulatedWorker } from './simulated-worker.ts';

export interface World {
  readonly coordinators: readonly SimulatedCoordinator[];
  /** What the coordinators have in common, where there are several. */
  readonly fleet: SimulatedFleet | undefined;
  readonly relays: readonly SimulatedRelay[];
  /** Workers that take part, or try to. */
  readonly living: readonly SimulatedWorker[];
  /** No more are started beside so many. */
  readonly mostWorkers: number;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  readonly join: () => SimulatedWorker;
  /** Runs something after so much virtual time. */
  readonly after: (delayMs: number, callback: () => void) => void;
}

/** Does it and says what it did; undefined where there was nothing to do it to. */
export type Fault = (world: World) => string | undefined;

export function pick<Item>({ chance }: Pick<World, 'chance'>, items: readonly Item[]): Item | undefined {
  return items[Math.floor(chance() * items.length)];
}

/** Any of several coordinators; the only one without a draw. */
export function coordinatorOf(world: World): SimulatedCoordinator | undefined {
  return world.fleet ? pick(world, world.coordinators) : world.coordinators[0];
}

/** Breaks the connections to a process that was killed. */
export function cutAllTo({ living, relays }: World, process: Clock | undefined, reason: string): void {
  for (const peer of [...living, ...relays]) if (peer.isConnectedTo(process)) peer.link?.cut(reason);
}

/** Short times are more likely than long ones. */
export function timeMs({ chance }: Pick<World, 'chance'>, longestMs: number): number {
  return longestMs * chance() ** 2;
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

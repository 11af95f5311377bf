/** What happens to coordinators that take turns at a run, and to the store by which they do. */
import { coordinatorOf, type Fault, seconds, timeMs } from './world.ts';

/** Four times the life of a lease. */
const longestMs = 20_000;
const mostLost = 8;

export const fleetFaults = {
  'frozen coordinator': (world) => {
    const coordinator = world.fleet && coordinatorOf(world);
    if (!world.fleet || !coordinator) return undefined;
    const forMs = timeMs(world, longestMs);
    coordinator.freeze(forMs);
    return `${coordinator.name} freezes for ${seconds(forMs)}`;
  },

  'store away': (world) => {
    if (!world.fleet) return undefined;
    const forMs = timeMs(world, longestMs);
    world.fleet.store.away(forMs);
    return `the store answers nothing for ${seconds(forMs)}`;
  },

  /** Where it lasts longer than a lease, two coordinators lead. */
  'store out of reach': (world) => {
    const coordinator = world.fleet && coordinatorOf(world);
    if (!world.fleet || !coordinator) return undefined;
    const forMs = timeMs(world, longestMs);
    world.fleet.store.away(forMs, coordinator.name);
    return `${coordinator.name} does not reach the store for ${seconds(forMs)}`;
  },

  'lost writes': (world) => {
    const lost = world.fleet?.store.loseNewestWrites(1 + Math.floor(mostLost * world.chance())) ?? 0;
    return lost > 0 ? `the store loses its ${lost} newest writes, which it had acknowledged` : undefined;
  },
} satisfies Record<string, Fault>;

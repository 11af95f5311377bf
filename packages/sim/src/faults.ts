/** The faults of a simulated run, and the world that they act on. */
import type { Clock } from '@lockstep/protocol';
import { type SimulatedFleet, topAddress } from './routes.ts';
import type { SimulatedCoordinator } from './simulated-coordinator.ts';
import type { SimulatedRelay } from './simulated-relay.ts';
import type { SimulatedWorker } from './simulated-worker.ts';

export interface World {
  readonly coordinators: readonly SimulatedCoordinator[];
  /** The part that several coordinators share; undefined for a single coordinator. */
  readonly fleet: SimulatedFleet | undefined;
  readonly relays: readonly SimulatedRelay[];
  /** Workers that take part or try to. */
  readonly living: readonly SimulatedWorker[];
  /** No worker is started once this many live. */
  readonly mostWorkers: number;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  readonly join: () => SimulatedWorker;
  /** Calls back after a virtual delay. */
  readonly after: (delayMs: number, callback: () => void) => void;
}

/** Injects a fault. Returns a description, or undefined if there was nothing to inject it into. */
type Fault = (world: World) => string | undefined;

export function pick<Item>({ chance }: Pick<World, 'chance'>, items: readonly Item[]): Item | undefined {
  return items[Math.floor(chance() * items.length)];
}

/** Picks one of several coordinators; does not draw if there is only one. */
function coordinatorOf(world: World): SimulatedCoordinator | undefined {
  return world.fleet ? pick(world, world.coordinators) : world.coordinators[0];
}

/** Breaks the connections to a killed process. */
function cutAllTo({ living, relays }: World, process: Clock | undefined, reason: string): void {
  if (!process) return;
  for (const { link } of [...living, ...relays]) if (link?.isTo(process)) link.cut(reason);
}

/** Draws a time up to `longestMs`; short times are more likely. */
function faultTimeMs({ chance }: Pick<World, 'chance'>, longestMs: number): number {
  return longestMs * chance() ** 2;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Four times the lifetime of a lease. */
const longestMs = 20_000;
const mostLost = 8;

export const fleetFaults = {
  'frozen coordinator': (world) => {
    const coordinator = world.fleet && coordinatorOf(world);
    if (!world.fleet || !coordinator) return undefined;
    const forMs = faultTimeMs(world, longestMs);
    coordinator.freeze(forMs);
    return `${coordinator.name} freezes for ${seconds(forMs)}`;
  },

  'store away': (world) => {
    if (!world.fleet) return undefined;
    const forMs = faultTimeMs(world, longestMs);
    world.fleet.store.away(forMs);
    return `the store answers nothing for ${seconds(forMs)}`;
  },

  /** If it lasts longer than a lease, two coordinators lead. */
  'store out of reach': (world) => {
    const coordinator = world.fleet && coordinatorOf(world);
    if (!world.fleet || !coordinator) return undefined;
    const forMs = faultTimeMs(world, longestMs);
    world.fleet.store.away(forMs, coordinator.name);
    return `${coordinator.name} does not reach the store for ${seconds(forMs)}`;
  },

  'lost writes': (world) => {
    const lost = world.fleet?.store.loseNewestWrites(1 + Math.floor(mostLost * world.chance())) ?? 0;
    return lost > 0 ? `the store loses its ${lost} newest writes, which it had acknowledged` : undefined;
  },
} satisfies Record<string, Fault>;

/** Half of the draws are long enough for a peer to be taken for dead. */
const longestSilenceMs = 40_000;
const longestFreezeMs = 20_000;
const longestDownMs = 40_000;
const longestRelayDownMs = 20_000;

export const relayFaults = {
  'relay killed': (world) => {
    const relay = pick(world, world.relays);
    if (!relay?.process) return undefined;
    const { process } = relay;
    const downMs = faultTimeMs(world, longestRelayDownMs);
    relay.kill(downMs);
    cutAllTo(world, process, 'the relay was killed');
    return `${relay.name} is killed, and started again after ${seconds(downMs)}`;
  },

  'relay frozen': (world) => {
    const relay = pick(world, world.relays);
    if (!relay) return undefined;
    const forMs = faultTimeMs(world, longestFreezeMs);
    relay.freeze(forMs);
    return `${relay.name} freezes for ${seconds(forMs)}`;
  },

  'relay cut': (world) => {
    const relay = pick(world, world.relays);
    relay?.link?.cut('the connection broke');
    return relay && `the connection of ${relay.name} to what is above it breaks`;
  },

  'relay silent': (world) => {
    const relay = pick(world, world.relays);
    if (!relay) return undefined;
    const forMs = faultTimeMs(world, longestSilenceMs);
    const side = world.chance() < 0.5 ? 'worker' : 'coordinator';
    relay.link?.silence(side, forMs);
    return `nothing from the ${side} arrives on the link of ${relay.name} to what is above it for ${seconds(forMs)}`;
  },

  'worker moves': (world) => {
    const [worker, relay] = [pick(world, world.living), pick(world, world.relays)];
    if (!worker || !relay) return undefined;
    worker.moveTo(relay.address);
    worker.link?.cut('it moves');
    return `${worker.name} moves to ${relay.name}`;
  },

  'relay moves': (world) => {
    const relay = pick(world, world.relays);
    if (!relay) return undefined;
    relay.moveTo(topAddress);
    relay.link?.cut('it moves');
    return `${relay.name} moves to the coordinator`;
  },
} satisfies Record<string, Fault>;

/** Longer than any run. */
const foreverMs = 1e9;

/** Runs a worker's code only for a tenth of each period, like a machine that is busy with something else. */
export function stutter(world: Pick<World, 'after'>, worker: SimulatedWorker, everyMs: number, forMs: number): void {
  if (forMs <= 0 || worker.ended) return;
  worker.freeze(0.9 * everyMs);
  world.after(everyMs, () => stutter(world, worker, everyMs, forMs - everyMs));
}

/** Returns the coordinator's disk, unless there is a fleet, which keeps its checkpoints in the store. */
function diskOf({ fleet, coordinators }: World): SimulatedCoordinator['disk'] | undefined {
  return fleet ? undefined : coordinators[0]?.disk;
}

/** Faults that need neither a fleet nor relays. */
export const runFaults = {
  join: (world) => (world.living.length < world.mostWorkers ? `${world.join().name} is started` : undefined),

  kill: (world) => {
    const worker = pick(world, world.living);
    worker?.kill();
    return worker && `${worker.name} is killed`;
  },

  'power loss': (world) => {
    const worker = pick(world, world.living);
    worker?.process.kill();
    for (const side of ['worker', 'coordinator'] as const) worker?.link?.silence(side, foreverMs);
    return worker && `${worker.name} loses its power: its connection stays half-open`;
  },

  freeze: (world) => {
    const worker = pick(world, world.living);
    const forMs = faultTimeMs(world, longestFreezeMs);
    worker?.freeze(forMs);
    return worker && `${worker.name} freezes for ${seconds(forMs)}`;
  },

  stutter: (world) => {
    const worker = pick(world, world.living);
    const everyMs = 10 + 490 * world.chance();
    const forMs = faultTimeMs(world, longestFreezeMs);
    if (worker) stutter(world, worker, everyMs, forMs);
    return worker && `${worker.name} stands still for 90 % of each ${Math.round(everyMs)} ms, for ${seconds(forMs)}`;
  },

  cut: (world) => {
    const worker = pick(world, world.living);
    worker?.link?.cut('the connection broke');
    return worker && `the connection of ${worker.name} breaks`;
  },

  silence: (world) => {
    const worker = pick(world, world.living);
    const forMs = faultTimeMs(world, longestSilenceMs);
    const sides = pick(world, [['worker'], ['coordinator'], ['worker', 'coordinator']] as const) ?? [];
    for (const side of sides) worker?.link?.silence(side, forMs);
    return (
      worker &&
      `nothing from the ${sides.join(' and the ')} arrives on the link of ${worker.name} for ${seconds(forMs)}`
    );
  },

  narrow: (world) => {
    const worker = pick(world, world.living);
    const times = 10 ** (1 + 3 * world.chance());
    const forMs = faultTimeMs(world, longestSilenceMs);
    worker?.link?.slowDown(times, forMs);
    return worker && `the link of ${worker.name} is ${Math.round(times)} times slower for ${seconds(forMs)}`;
  },

  damage: (world) => {
    // Liars are found by name, and damage could change the name.
    const worker = pick(
      world,
      world.living.filter(({ lie }) => lie === undefined),
    );
    worker?.link?.damageNext(world.chance());
    return worker && `one bit of the next frame of ${worker.name} flips`;
  },

  crash: (world) => {
    const coordinator = coordinatorOf(world);
    if (!coordinator?.canCrash) return undefined;
    const downMs = faultTimeMs(world, longestDownMs);
    const { process } = coordinator;
    coordinator.crash(downMs);
    cutAllTo(world, process, 'the coordinator was killed');
    return `${coordinator.name} is killed, and started again after ${seconds(downMs)}`;
  },

  'full disk': (world) => {
    const disk = diskOf(world);
    if (!disk || disk.isFull) return undefined;
    disk.isFull = true;
    const forMs = faultTimeMs(world, longestDownMs);
    world.after(forMs, () => {
      disk.isFull = false;
    });
    return `the disk is full for ${seconds(forMs)}`;
  },

  'torn checkpoint': (world) =>
    diskOf(world)?.tearNewest() ? 'the newest checkpoint cannot be read any more' : undefined,
} satisfies Record<string, Fault>;

export const faults = { ...runFaults, ...fleetFaults, ...relayFaults };

export type RunFaultKind = keyof typeof runFaults;
export type FaultKind = keyof typeof faults;

/** What a simulation does to a run, a fault each; which one happens when is drawn from the run's seed. */
import { fleetFaults } from './fleet-faults.ts';
import { relayFaults } from './relay-faults.ts';
import type { SimulatedCoordinator } from './simulated-coordinator.ts';
import type { SimulatedWorker } from './simulated-worker.ts';
import { coordinatorOf, cutAllTo, type Fault, pick, seconds, timeMs, type World } from './world.ts';

/** Long enough to be taken for dead, half of the time. */
const longestSilenceMs = 40_000;
const longestFreezeMs = 20_000;
const longestDownMs = 40_000;
/** Longer than any run. */
const foreverMs = 1e9;

/** Runs a worker's code for a tenth of each period only, as a machine does that is busy with something else. */
export function stutter(world: Pick<World, 'after'>, worker: SimulatedWorker, everyMs: number, forMs: number): void {
  if (forMs <= 0 || worker.ended) return;
  worker.freeze(0.9 * everyMs);
  world.after(everyMs, () => stutter(world, worker, everyMs, forMs - everyMs));
}

/** Of a coordinator that has one: in a fleet, checkpoints are in its store. */
function diskOf({ fleet, coordinators }: World): SimulatedCoordinator['disk'] | undefined {
  return fleet ? undefined : coordinators[0]?.disk;
}

/** Each does it and says what it did; undefined where there was nothing to do it to. */
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
    const forMs = timeMs(world, longestFreezeMs);
    worker?.freeze(forMs);
    return worker && `${worker.name} freezes for ${seconds(forMs)}`;
  },

  stutter: (world) => {
    const worker = pick(world, world.living);
    const everyMs = 10 + 490 * world.chance();
    const forMs = timeMs(world, longestFreezeMs);
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
    const forMs = timeMs(world, longestSilenceMs);
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
    const forMs = timeMs(world, longestSilenceMs);
    worker?.link?.slowDown(times, forMs);
    return worker && `the link of ${worker.name} is ${Math.round(times)} times slower for ${seconds(forMs)}`;
  },

  damage: (world) => {
    // A liar is known by its name, which would be damaged as well.
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
    const downMs = timeMs(world, longestDownMs);
    const { process } = coordinator;
    coordinator.crash(downMs);
    cutAllTo(world, process, 'the coordinator was killed');
    return `${coordinator.name} is killed, and started again after ${seconds(downMs)}`;
  },

  'full disk': (world) => {
    const disk = diskOf(world);
    if (!disk || disk.isFull) return undefined;
    disk.isFull = true;
    const forMs = timeMs(world, longestDownMs);
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

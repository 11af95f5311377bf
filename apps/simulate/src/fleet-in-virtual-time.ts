/** A fleet in virtual time: real coordinators and finders, and a simulated store. */
import { deserialize, serialize } from 'node:v8';
import { Fleet, type FleetTime } from '@lockstep/fleet';
import type { Clock } from '@lockstep/protocol';
import type { FleetFinder, RunCopy, SimulatedFleet, SimulatedMember } from '@lockstep/sim';
import { SimulatedStore } from './simulated-store.ts';

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

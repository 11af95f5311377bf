/** What happens to the relays of a tree, and to workers that go from one to another. */
import { topAddress } from './tree-route.ts';
import { cutAllTo, type Fault, pick, seconds, timeMs } from './world.ts';

/** Long enough to be taken for dead, half of the time. */
const longestSilenceMs = 40_000;
const longestFreezeMs = 20_000;
const longestDownMs = 20_000;

export const relayFaults = {
  'relay killed': (world) => {
    const relay = pick(world, world.relays);
    if (!relay?.process) return undefined;
    const { process } = relay;
    const downMs = timeMs(world, longestDownMs);
    relay.kill(downMs);
    cutAllTo(world, process, 'the relay was killed');
    return `${relay.name} is killed, and started again after ${seconds(downMs)}`;
  },

  'relay frozen': (world) => {
    const relay = pick(world, world.relays);
    if (!relay) return undefined;
    const forMs = timeMs(world, longestFreezeMs);
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
    const forMs = timeMs(world, longestSilenceMs);
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

/** The relays of a simulated run, by level, and the routes from each place to the coordinator. */

import type { Clock } from '@lockstep/protocol';
import type { RunEvent } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import type { RunParts } from './problem.ts';
import { TreeRoute, topAddress } from './routes.ts';
import type { LinkSpeed } from './simulated-link.ts';
import { SimulatedRelay } from './simulated-relay.ts';
import { type Listener, pacedBytes } from './simulated-worker.ts';

export interface RelayTreeOptions {
  /** Relays of each level, the topmost first. */
  readonly levels: readonly number[];
  readonly clock: Clock;
  readonly backend: HostBackend;
  readonly run: Pick<RunParts, 'newHash'>;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  readonly encodes: boolean;
  readonly linkSpeed: () => LinkSpeed;
  /** Finds the current coordinator on behalf of a process. */
  readonly coordinator: (process: Clock) => Promise<Listener | undefined>;
  readonly isRunOver: () => boolean;
  readonly onEvent: (relay: string, event: RunEvent, workerName: string | undefined) => void;
}

/** Share of workers that join the coordinator directly rather than a relay. */
const directWorkers = 0.02;

export class RelayTree {
  readonly relays: readonly SimulatedRelay[];
  readonly #options: RelayTreeOptions;
  /** Addresses of the lowest level. */
  readonly #lowest: readonly string[];

  constructor(options: RelayTreeOptions) {
    this.#options = options;
    const relays: SimulatedRelay[] = [];
    let above: readonly string[] = [topAddress];
    for (const count of options.levels) {
      const level = Array.from({ length: count }, (_, index) => {
        const home = above[index % above.length]!;
        const relay = this.#create(relays.length + 1, home);
        relays.push(relay);
        return relay.address;
      });
      above = level;
    }
    this.relays = relays;
    this.#lowest = above;
  }

  /** Returns a worker's route from a place drawn at random. */
  routeOfWorker(): (process: Clock) => TreeRoute {
    const { chance } = this.#options;
    const isDirect = chance() < directWorkers;
    const home = isDirect ? topAddress : this.#lowest[Math.floor(chance() * this.#lowest.length)]!;
    return (process) => this.#route(process, home);
  }

  /** Returns the route of a worker that knows of no relay. */
  directRoute(): (process: Clock) => TreeRoute {
    return (process) => this.#route(process, topAddress);
  }

  #create(number: number, home: string): SimulatedRelay {
    const { clock, backend, run, chance, encodes, linkSpeed, onEvent } = this.#options;
    const name = `relay ${number}`;
    return new SimulatedRelay({
      ...{ name, clock, backend, encodes, pacedBytes },
      ip: `10.1.0.${number}`,
      newHash: run.newHash,
      random: chance,
      link: linkSpeed(),
      sampleCacheBytes: chance() < 0.7 ? Number.MAX_SAFE_INTEGER : 0,
      verifySalt: Math.floor(2 ** 32 * chance()),
      route: (process) => this.#route(process, home),
      addresses: home === topAddress ? [topAddress] : [home, topAddress],
      onEvent: (event, workerName) => onEvent(name, event, workerName),
    });
  }

  #route(process: Clock, home: string): TreeRoute {
    const { coordinator, isRunOver } = this.#options;
    const at = async (address: string): Promise<Listener | undefined> =>
      address === topAddress ? coordinator(process) : this.relays.find((relay) => relay.address === address);
    return new TreeRoute({ home, at, isRunOver, process });
  }
}

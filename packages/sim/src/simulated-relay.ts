/** Relay processes in virtual time, in a tree. */
import type { NewHash } from '@lockstep/compute';
import type { Clock, CoordinatorTransport } from '@lockstep/protocol';
import { Relay, type RelayRun } from '@lockstep/relay';
import type { CoordinatorState, RunEvent } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import type { RunParts } from './problem.ts';
import { addressOf, TreeRoute, topAddress } from './routes.ts';
import { createSharedCompute } from './shared-compute.ts';
import { type LinkSpeed, SimulatedLink } from './simulated-link.ts';
import { restartMs, SimulatedProcess } from './simulated-process.ts';
import type { Listener } from './simulated-worker.ts';

interface SimulatedRelayOptions {
  readonly name: string;
  /** The address it claims to connect from. */
  readonly ip: string;
  readonly clock: Clock;
  readonly backend: HostBackend;
  readonly newHash: NewHash;
  /** Returns a number from 0 to 1, to spread its reconnections. */
  readonly random: () => number;
  /** Speed of the upward link. */
  readonly link: LinkSpeed;
  /** Whether upward messages travel as encoded frames. */
  readonly encodes: boolean;
  readonly sampleCacheBytes: number;
  readonly verifySalt: number;
  readonly route: (process: Clock) => TreeRoute;
  /** Alternative addresses for its workers. */
  readonly addresses: readonly string[];
  readonly onEvent: (event: RunEvent, workerName: string | undefined) => void;
}

/** One life of the process, from its start until it ends or is killed. */
interface Life {
  readonly process: SimulatedProcess;
  readonly route: TreeRoute;
  readonly relay: Relay;
}

export class SimulatedRelay implements Listener {
  readonly name: string;
  readonly address: string;
  /** Final states of its finished runs. */
  readonly ended: CoordinatorState[] = [];
  /** A failure of the relay itself, which no fault may cause. */
  failure: string | undefined;
  /** The newest upward connection. */
  link: SimulatedLink | undefined;
  readonly #options: SimulatedRelayOptions;
  #life: Life | undefined;
  #run: RelayRun | undefined;
  #resumeKeys = 0;

  constructor(options: SimulatedRelayOptions) {
    this.name = options.name;
    this.address = addressOf(options.name);
    this.#options = options;
    this.#start();
  }

  get process(): SimulatedProcess | undefined {
    return this.#life?.process;
  }

  /** State of the run below. */
  get state(): CoordinatorState | undefined {
    return this.#run?.run.state;
  }

  accept(transport: CoordinatorTransport, address: string): void {
    this.#life?.relay.accept(transport, address);
  }

  freeze(forMs: number): void {
    this.#life?.process.freeze(forMs);
  }

  /** Changes the coordinator above, which the relay joins when its current connection is gone. */
  moveTo(address: string): void {
    this.#life?.route.moveTo(address);
  }

  /** Ends it as `kill -9` does, and starts it again after this long. Its workers' links are not its own to cut. */
  kill(downMs: number): void {
    if (!this.#life) return;
    this.#end();
    this.link?.cut('killed');
    this.#options.clock.after(downMs, () => this.#start());
  }

  #end(): void {
    this.#life?.process.kill();
    this.#life = undefined;
    if (this.#run) this.ended.push(this.#run.run.state);
    this.#run = undefined;
  }

  #start(): void {
    const { name, clock, backend, newHash, random, sampleCacheBytes, verifySalt, addresses } = this.#options;
    const process = new SimulatedProcess(clock);
    const route = this.#options.route(process);
    const isAlive = (): boolean => this.#life?.process === process;
    const relay = new Relay({
      ...{ name, clock: process, backend, newHash, random, sampleCacheBytes, verifySalt, addresses },
      waitForCoordinator: true,
      createCompute: () => createSharedCompute(backend),
      newResumeKey: () => `${name}-${++this.#resumeKeys}`,
      connect: () => this.#connect(process, route),
      onRun: (run) => {
        if (isAlive()) this.#begin(run);
      },
      onEvent: (event) => {
        if (!isAlive()) return;
        if (event.type === 'renewed') this.failure ??= event.message;
        if (event.type !== 'below') return;
        const workerId = 'workerId' in event.event ? event.event.workerId : undefined;
        this.#options.onEvent(event.event, event.state.records.get(workerId ?? '')?.name);
      },
    });
    this.#life = { process, route, relay };
    void relay.ended.then((end) => {
      if (!isAlive()) return;
      if (end.type === 'failed') this.failure ??= end.message;
      // Its last messages leave first.
      process.after(0, () => this.#end());
      clock.after(restartMs, () => {
        if (!this.#life) this.#start();
      });
    });
  }

  #begin(run: RelayRun): void {
    if (this.#run) this.ended.push(this.#run.run.state);
    this.#run = run;
  }

  async #connect(process: SimulatedProcess, route: TreeRoute): Promise<SimulatedLink['worker']> {
    const { name, ip, clock, link: speed, encodes } = this.#options;
    const above = await route.find();
    if (!above?.process) throw new Error('the connection was refused');
    const ends = { coordinator: above.process, worker: process };
    this.link = new SimulatedLink({ clock, speed, ends, workerName: name, encodes });
    above.accept(this.link.coordinator, ip);
    return this.link.worker;
  }
}

interface RelayTreeOptions {
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
      ...{ name, clock, backend, encodes },
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

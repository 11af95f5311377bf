/**
 * A relay: a worker to the coordinator above it, a coordinator to workers of its own, and the same rules and the same tree
 * in both. Of all that its workers compute of a shard, one gradient goes up.
 */

import type { CoordinatorTransport, WorkerTransport } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import type { RunEvent } from '../coordinator/events.ts';
import type { Limits } from '../coordinator/run-setup.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import type { Trace } from '../coordinator/trace.ts';
import { WaitingWorkers } from '../coordinator/waiting-workers.ts';
import { hashWith, type NewHash } from '../incremental-hash.ts';
import type { Compute } from '../worker/compute.ts';
import { createLocalCompute } from '../worker/local-compute.ts';
import { Membership, type MembershipEnd, type MembershipEvent } from '../worker/membership.ts';
import { createRelayCompute } from './relay-compute.ts';
import { openRelayRun, type RelayRun, runKey, type Welcome } from './relay-run.ts';
import { Transports } from './transports.ts';
import { WorkersBehind } from './workers-behind.ts';

export interface RelayOptions {
  readonly name: string;
  /** What the coordinator above must hear. */
  readonly token?: string | undefined;
  /** What its own workers must say; none where left out. */
  readonly workerToken?: string | undefined;
  /** To the coordinator above. @throws Error with one sentence */
  readonly connect: () => Promise<WorkerTransport>;
  /** Takes each welcome, which may say where else the run can be joined. */
  readonly onWelcome?: (welcome: Welcome) => void;
  /** Whether it waits for a coordinator that its first attempt does not reach. */
  readonly waitForCoordinator?: boolean;
  /** Where its workers may go instead, beside the addresses that it is told itself. */
  readonly addresses?: readonly string[];
  /** Where workers that know the run's token can join it, without secrets: the coordinator is told. */
  readonly address?: string | undefined;
  /** Adds gradients, and is the referee of its workers. */
  readonly backend: HostBackend;
  /** Computes numerics checks; on that backend where left out. */
  readonly createCompute?: () => Compute;
  readonly clock: Clock;
  /** Begins the hash of a numerics check's gradient. */
  readonly newHash: NewHash;
  /** From 0 to 1; spreads the moments at which many workers come back. */
  readonly random: () => number;
  /** A secret that cannot be guessed, by which a worker comes back. */
  readonly newResumeKey: () => string;
  /** Chooses the shards that the relay computes as well; an unsigned 32-bit number that they cannot know. */
  readonly verifySalt: number;
  /** Most bytes of samples that it caches. */
  readonly sampleCacheBytes?: number;
  /** Of the run below it. */
  readonly limits?: Partial<Limits>;
  /** Called with each run that its workers may join from then on. */
  readonly onRun?: (run: RelayRun) => void;
  readonly onEvent?: (event: RelayEvent) => void;
  readonly onTrace?: (trace: Trace) => void;
}

export type RelayEvent =
  /** As a worker of the coordinator above. */
  | { readonly type: 'above'; readonly event: MembershipEvent }
  /** As a coordinator of workers. */
  | { readonly type: 'below'; readonly event: RunEvent; readonly state: CoordinatorState }
  /** No worker is there that could compute: it is no worker above until there is one. */
  | { readonly type: 'idle' }
  /** Its run below has ended by itself, and another one begins. */
  | { readonly type: 'renewed'; readonly message: string };

/** How long it stays a worker above while none of its own is ready. */
const idleMs = 2_000;
const noRun = 'this relay has no run yet';

export class Relay {
  /** Resolves as that of a worker does: when the run is over, or this relay is refused for good, leaves, or cannot connect. */
  readonly ended: Promise<MembershipEnd>;
  readonly #options: RelayOptions;
  readonly #membership: Membership;
  readonly #waiting: WaitingWorkers;
  readonly #workers: WorkersBehind;
  readonly #below = new Transports();
  #upward: WorkerTransport | undefined;
  #welcome: Welcome | undefined;
  #run: RelayRun | undefined;
  /** Runs that it has begun to open. */
  #opened = 0;
  /** Whether it has dropped its connection above for want of workers. */
  #isIdle = false;
  #isLeaving = false;
  #hasEnded = false;

  constructor(options: RelayOptions) {
    const { clock, workerToken, backend, createCompute = () => createLocalCompute(backend, clock) } = options;
    this.#options = options;
    this.#waiting = new WaitingWorkers(clock, workerToken);
    this.#workers = new WorkersBehind({
      clock,
      idleMs,
      state: () => this.#run?.run.state,
      address: options.address,
      report: (status) => this.#membership.reportStatus(status),
      onIdle: () => {
        this.#isIdle = true;
        this.#dropUpward('none of the workers behind this relay is ready');
      },
    });
    this.#membership = this.#join(createCompute);
    this.ended = this.#membership.ended.then((end) => this.#end(end));
  }

  /** The run below, once the coordinator above has said what it is. */
  get run(): RelayRun | undefined {
    return this.#run;
  }

  /** Takes over the connection of a worker. @param address where it comes from */
  accept(transport: CoordinatorTransport, address: string): void {
    if (this.#hasEnded) transport.close(1001, 'this relay has ended');
    else if (this.#run) this.#run.run.connect(this.#below.watch(transport), address);
    else this.#waiting.turnAway(transport, noRun);
  }

  /** Says goodbye above; the workers may go elsewhere. */
  leave(message: string): void {
    this.#isLeaving = true;
    this.#membership.leave(message);
    this.#workers.stop();
  }

  #join(createCompute: () => Compute): Membership {
    const { name, token, clock, newHash, random, sampleCacheBytes, waitForCoordinator } = this.#options;
    const workers = this.#workers;
    return new Membership({
      ...{ clock, random },
      hash: hashWith(newHash),
      ...(sampleCacheBytes === undefined ? {} : { sampleCacheBytes }),
      ...(waitForCoordinator === undefined ? {} : { waitForCoordinator }),
      compute: createRelayCompute({
        local: createCompute(),
        threads: () => workers.threads,
        run: () => this.#run,
        open: () => this.#openRun(createCompute),
        renew: () => this.#renew(createCompute),
        present: () => workers.present(),
      }),
      identity: { kind: 'relay', name, token },
      connect: () => this.#connect(),
      onWelcome: (welcome) => {
        this.#welcome = welcome;
        this.#options.onWelcome?.(welcome);
      },
      onEvent: (event) => this.#noteAbove(event),
    });
  }

  async #connect(): Promise<WorkerTransport> {
    this.#upward = await this.#options.connect();
    this.#isIdle = false;
    return this.#upward;
  }

  async #openRun(createCompute: () => Compute): Promise<void> {
    const welcome = this.#welcome;
    if (!welcome) throw new Error('expected a welcome first');
    if (this.#run?.key !== runKey(welcome)) await this.#renew(createCompute);
    if (!this.#workers.arePresent) this.#options.onEvent?.({ type: 'idle' });
  }

  /** Begins another run below: the workers of the one before are told to come back. */
  async #renew(createCompute: () => Compute): Promise<void> {
    const welcome = this.#welcome!;
    this.#closeRun('another run begins', true);
    this.#opened += 1;
    const opened = this.#opened;
    const { workerToken: token, addresses = [], onRun, onTrace } = this.#options;
    const { backend, clock, newHash, newResumeKey, verifySalt, limits } = this.#options;
    const run = await openRelayRun({
      ...{ welcome, backend, clock, newHash, newResumeKey, verifySalt, limits, token },
      addresses: [...new Set([...addresses, ...(welcome.addresses ?? [])])].slice(0, mostAddresses),
      compute: createCompute(),
      onEvent: (event) => this.#noteBelow(event),
      onFailed: (message) => this.#startOver(message),
      ...(onTrace && { onTrace }),
    });
    // Where the connection above broke meanwhile, its next welcome has begun another one.
    if (this.#hasEnded || opened !== this.#opened) {
      run.close(noRun, false);
      return;
    }
    this.#run = run;
    this.#workers.begin();
    onRun?.(run);
  }

  #closeRun(message: string, anotherMayFollow: boolean): void {
    this.#run?.close(message, anotherMayFollow);
    this.#run = undefined;
  }

  #noteBelow(event: RunEvent): void {
    const state = this.#run?.run.state;
    if (!state) return;
    if (event.type === 'quarantined' && event.shards > 0) this.#workers.noteLiar();
    this.#workers.check();
    this.#options.onEvent?.({ type: 'below', event, state });
  }

  #noteAbove(event: MembershipEvent): void {
    if (event.type === 'lost') this.#run?.dropArriving();
    // It waited for workers, and waits no longer.
    if (event.type === 'unreached' && this.#isLeaving) return;
    if (event.type === 'lost' && event.isRunOver) this.#closeRun(event.message, true);
    if (event.type === 'lost' && this.#isIdle) this.#options.onEvent?.({ type: 'idle' });
    else this.#options.onEvent?.({ type: 'above', event });
  }

  /** Leaves and comes back, to answer the numerics check when a worker is ready: what it owes is computed elsewhere. */
  #dropUpward(message: string): void {
    this.#upward?.send({ type: 'bye', message });
    this.#upward?.close(1000, message);
  }

  /** Its next welcome begins another run below. */
  #startOver(message: string): void {
    this.#options.onEvent?.({ type: 'renewed', message });
    this.#dropUpward(message);
    this.#closeRun(message, true);
  }

  #end(end: MembershipEnd): MembershipEnd {
    this.#hasEnded = true;
    this.#workers.stop();
    // Where the run goes on without this relay, its workers look for another way to it.
    if (end.type !== 'finished' || this.#isLeaving) this.#below.closeAll('the relay ends');
    this.#closeRun(end.message, false);
    return end;
  }
}

/** Of a welcome. */
const mostAddresses = 8;

/** A relay: to the coordinator above a worker, to the workers below a coordinator. */
import { type Compute, createLocalCompute, hashWith } from '@lockstep/compute';
import { WaitingWorkers } from '@lockstep/coordinator';
import type { Clock, CoordinatorTransport, WorkerTransport } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent, WorkerRecord } from '@lockstep/rules';
import { Membership, type MembershipEnd, type MembershipEvent, type WorkerStatus } from '@lockstep/worker/internal';
import { createRelayCompute, openRelayRun, type RelayRun, type RunBelow, runKey, type Welcome } from './relay-run.ts';

export interface RelayCoreOptions extends RunBelow {
  readonly name: string;
  /** Token for joining the coordinator above. */
  readonly token?: string | undefined;
  /** Token that the relay's own workers must know; by default they need none. */
  readonly workerToken?: string | undefined;
  /** Connects to the coordinator above. @throws Error with one sentence */
  readonly connect: () => Promise<WorkerTransport>;
  /** Called with each welcome, which may name other addresses of the run. */
  readonly onWelcome?: (welcome: Welcome) => void;
  /** Whether the relay keeps trying if its first attempt does not reach the coordinator. */
  readonly waitForCoordinator?: boolean;
  /** Other addresses for the relay's workers, in addition to the addresses in the welcome. */
  readonly addresses?: readonly string[];
  /** Address at which workers with the run's token can join the relay; sent to the coordinator, so without secrets. */
  readonly address?: string | undefined;
  /** Computes numerics checks; by default on `backend`. */
  readonly createCompute?: () => Compute;
  /** Random number from 0 to 1; spreads the reconnects of many workers over time. */
  readonly random: () => number;
  /** Maximum bytes of cached samples. */
  readonly sampleCacheBytes?: number;
  /** Called with each new run below, once workers can join it. */
  readonly onRun?: (run: RelayRun) => void;
  readonly onEvent?: (event: RelayCoreEvent) => void;
}

export type RelayCoreEvent =
  /** An event of the relay as a worker of the coordinator above. */
  | { readonly type: 'above'; readonly event: MembershipEvent }
  /** An event of the relay as a coordinator. */
  | { readonly type: 'below'; readonly event: RunEvent; readonly state: CoordinatorState }
  /** No worker is ready to compute; until one is, the relay is not ready above. */
  | { readonly type: 'idle' }
  /** The run below has ended by itself, and another one begins. */
  | { readonly type: 'renewed'; readonly message: string };

/** Time for which the relay stays a worker above while none of its own workers is ready. */
const idleMs = 2_000;
const noRun = 'this relay has no run yet';

export class Relay {
  /** Resolves when the run is over, or when the relay is refused for good, leaves or cannot connect. */
  readonly ended: Promise<MembershipEnd>;
  readonly #options: RelayCoreOptions;
  readonly #membership: Membership;
  readonly #waiting: WaitingWorkers;
  readonly #workers: WorkersBehind;
  readonly #createCompute: () => Compute;
  #upward: WorkerTransport | undefined;
  #welcome: Welcome | undefined;
  #run: RelayRun | undefined;
  /** Number of runs that the relay has begun to open. */
  #opened = 0;
  /** Whether the relay has dropped its connection above for lack of workers. */
  #isIdle = false;
  #isLeaving = false;
  #hasEnded = false;

  constructor(options: RelayCoreOptions) {
    const { clock, workerToken, backend } = options;
    this.#options = options;
    this.#createCompute = options.createCompute ?? (() => createLocalCompute(backend, clock));
    this.#waiting = new WaitingWorkers(clock, workerToken);
    this.#workers = new WorkersBehind({
      clock,
      state: () => this.#run?.run.state,
      address: options.address,
      report: (status) => this.#membership.reportStatus(status),
      onIdle: () => {
        this.#isIdle = true;
        this.#dropUpward('none of the workers behind this relay is ready');
      },
    });
    this.#membership = this.#join();
    this.ended = this.#membership.ended.then((end) => this.#end(end));
  }

  /** The run below; undefined before the first welcome. */
  get run(): RelayRun | undefined {
    return this.#run;
  }

  /** Takes over a worker's connection. @param address the worker's remote address */
  accept(transport: CoordinatorTransport, address: string): void {
    if (this.#hasEnded) transport.close(1001, 'this relay has ended');
    else if (this.#run) this.#run.run.connect(transport, address);
    else this.#waiting.turnAway(transport, noRun);
  }

  /** Leaves the coordinator above; the workers may join another address. */
  leave(message: string): void {
    this.#isLeaving = true;
    this.#membership.leave(message);
    this.#workers.stop();
  }

  #join(): Membership {
    const { name, token, clock, newHash, random, sampleCacheBytes, waitForCoordinator } = this.#options;
    const workers = this.#workers;
    return new Membership({
      ...{ clock, random },
      hash: hashWith(newHash),
      ...(sampleCacheBytes === undefined ? {} : { sampleCacheBytes }),
      ...(waitForCoordinator === undefined ? {} : { waitForCoordinator }),
      compute: createRelayCompute({
        local: this.#createCompute(),
        threads: () => workers.threads,
        run: () => this.#run,
        open: () => this.#openRun(),
        renew: () => this.#renew(),
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

  async #openRun(): Promise<void> {
    const welcome = this.#welcome;
    if (!welcome) throw new Error('expected a welcome first');
    if (this.#run?.key !== runKey(welcome)) await this.#renew();
    if (!this.#workers.arePresent) this.#options.onEvent?.({ type: 'idle' });
  }

  /** Begins another run below; the workers of the previous run are told to reconnect. */
  async #renew(): Promise<void> {
    const welcome = this.#welcome!;
    this.#closeRun('another run begins', true);
    this.#opened += 1;
    const opened = this.#opened;
    const { workerToken: token, addresses = [], onRun } = this.#options;
    const run = await openRelayRun({
      ...this.#options,
      ...{ welcome, token },
      addresses: [...new Set([...addresses, ...(welcome.addresses ?? [])])].slice(0, mostAddresses),
      compute: this.#createCompute(),
      onEvent: (event) => this.#noteBelow(event),
      onFailed: (message) => this.#startOver(message),
    });
    // If the connection above broke meanwhile, the next welcome has begun another run.
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
    if (event.type === 'quarantined' || event.type === 'relayStatus') this.#workers.noteWrongSums();
    this.#workers.check();
    this.#options.onEvent?.({ type: 'below', event, state });
  }

  #noteAbove(event: MembershipEvent): void {
    // A relay that is leaving no longer tries to reach the coordinator.
    if (event.type === 'unreached' && this.#isLeaving) return;
    if (event.type === 'lost' && event.isRunOver) this.#closeRun(event.message, true);
    if (event.type === 'lost' && this.#isIdle) this.#options.onEvent?.({ type: 'idle' });
    else this.#options.onEvent?.({ type: 'above', event });
  }

  /** Reconnects above, so that other workers take over the relay's shards until it answers the numerics check again. */
  #dropUpward(message: string): void {
    this.#upward?.send({ type: 'bye', message });
    this.#upward?.close(1000, message);
  }

  /** Drops the run below and reconnects above: the next welcome begins another run. */
  #startOver(message: string): void {
    this.#options.onEvent?.({ type: 'renewed', message });
    this.#dropUpward(message);
    this.#closeRun(message, true);
  }

  #end(end: MembershipEnd): MembershipEnd {
    this.#hasEnded = true;
    this.#workers.stop();
    // If the run goes on without this relay, its workers have to look for another address.
    if (end.type !== 'finished' || this.#isLeaving) this.#run?.run.closeAll('the relay ends');
    this.#closeRun(end.message, false);
    return end;
  }
}

/** Maximum number of addresses in a welcome. */
const mostAddresses = 8;

interface WorkersBehindOptions {
  readonly clock: Clock;
  /** Returns the state of the run below, if any. */
  readonly state: () => CoordinatorState | undefined;
  /** Reports to the coordinator above. */
  readonly report: (status: WorkerStatus) => void;
  /** Address at which workers with the run's token can join the relay. */
  readonly address?: string | undefined;
  /** Called when no worker has been ready for longer than `idleMs`. */
  readonly onIdle: () => void;
}

/** Interval at which the workers are counted and changes are reported. */
const checkMs = 250;
const mostThreads = 65_536;

class WorkersBehind {
  readonly #options: WorkersBehindOptions;
  #readyAtMs: number;
  #isIdle = false;
  #reported = 0;
  /** First step whose wrong sums were reported. */
  #reportedWrong: number | undefined;
  #wake: (() => void)[] = [];
  #isStopped = false;
  #cancel = (): void => {};

  constructor(options: WorkersBehindOptions) {
    this.#options = options;
    this.#readyAtMs = options.clock.nowMs();
    this.#schedule();
  }

  get arePresent(): boolean {
    return this.#ready().length > 0;
  }

  /** Number of threads of the ready workers; at least 1, because the relay joins above as a worker, which has one. */
  get threads(): number {
    const threads = this.#ready().reduce((sum, record) => sum + record.threads, 0);
    return Math.max(1, Math.min(mostThreads, threads));
  }

  /** Resolves when a worker is ready. @throws Error if the relay is stopped before that */
  async present(): Promise<void> {
    while (!this.arePresent && !this.#isStopped) await new Promise<void>((resolve) => this.#wake.push(resolve));
    if (this.#isStopped) throw new Error('the relay leaves');
  }

  /** Notes that a run begins below. */
  begin(): void {
    this.#isIdle = false;
    this.#readyAtMs = this.#options.clock.nowMs();
    this.#report();
  }

  /** Notes that a worker may have been quarantined after sums with its results had been sent. */
  noteWrongSums(): void {
    if (this.#wrongFrom() !== this.#reportedWrong) this.#report();
  }

  /** Looks for ready workers; call it after every event that may have changed them. */
  check(): void {
    const { clock, state, onIdle } = this.#options;
    if (!state()) return;
    if (this.arePresent) {
      this.#readyAtMs = clock.nowMs();
      this.#isIdle = false;
      for (const wake of this.#wake.splice(0)) wake();
      if (this.#reported === 0) this.#report();
    } else if (!this.#isIdle && clock.nowMs() - this.#readyAtMs > idleMs) {
      this.#isIdle = true;
      onIdle();
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
    for (const wake of this.#wake.splice(0)) wake();
  }

  #report(): void {
    this.#reported = this.#count();
    this.#reportedWrong = this.#wrongFrom();
    const { address, report } = this.#options;
    const wrongFrom = this.#reportedWrong;
    const told = { ...(address !== undefined && { address }), ...(wrongFrom !== undefined && { wrongFrom }) };
    report({ hidden: false, workers: this.#reported, ...told });
  }

  /** Returns the first step whose sums contain results of a worker that was quarantined; undefined if there is none. */
  #wrongFrom(): number | undefined {
    const steps = [...(this.#options.state()?.records.values() ?? [])].flatMap(
      ({ quarantined, uncheckedFrom, wrongFrom }) => [
        ...(quarantined !== undefined && uncheckedFrom !== undefined ? [uncheckedFrom] : []),
        ...(wrongFrom === undefined ? [] : [wrongFrom]),
      ],
    );
    return steps.length > 0 ? Math.min(...steps) : undefined;
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(checkMs, () => {
      if (this.#isStopped) return;
      this.check();
      if (this.#options.state() && this.#count() !== this.#reported) this.#report();
      this.#schedule();
    });
  }

  #ready(): WorkerRecord[] {
    const { connections, records } = this.#options.state() ?? {};
    return [...(connections?.values() ?? [])].flatMap(({ phase, workerId = '' }) => {
      const record = phase === 'ready' ? records?.get(workerId) : undefined;
      return record ? [record] : [];
    });
  }

  /** Counts the ready workers, including those behind further relays. */
  #count(): number {
    return this.#ready().reduce((sum, { kind, workersBehind = 1 }) => sum + (kind === 'relay' ? workersBehind : 1), 0);
  }
}

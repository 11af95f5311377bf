/** A worker process in virtual time, honest or not: the session of real workers, with faults. */

import {
  type Compute,
  ComputeError,
  type ComputeSetup,
  countOf,
  type ShardGradient,
  type ShardSamples,
} from '@lockstep/compute';
import { classField, type TargetValues } from '@lockstep/data';
import { parseModel } from '@lockstep/nn';
import type { Clock, CoordinatorTransport, MessageOf } from '@lockstep/protocol';
import type { Backend } from '@lockstep/tensor';
import { Membership, type MembershipEnd, type MembershipEvent } from '@lockstep/worker/internal';
import { type NumericMode, numericModes, openGradient } from './shared-compute.ts';
import { type LinkSpeed, SimulatedLink } from './simulated-link.ts';
import { restartMs, SimulatedProcess } from './simulated-process.ts';

/** Accepts the connections of workers. */
export interface Listener {
  /** The process that accepts connections now; undefined while there is none. */
  readonly process: Clock | undefined;
  accept(transport: CoordinatorTransport, address: string): void;
}

/** Finds what a worker connects to, if that may change. */
export interface Route {
  /** Called for each attempt; undefined if the run is over. @throws Error if there is nothing to connect to */
  find(): Promise<Listener | undefined>;
  /** Called when the worker was sent away. @returns whether the run continues at another place */
  goesOn(): Promise<boolean>;
  noteWelcome?(welcome: MessageOf<'welcome'>): void;
  /** Makes that address the first to try. */
  moveTo?(address: string): void;
  /** Called when the worker is refused for good at its current place. */
  noteRefusal?(): void;
}

interface SimulatedWorkerOptions {
  readonly name: string;
  /** The address it claims to connect from. */
  readonly address: string;
  readonly coordinator: Listener | ((process: Clock) => Route);
  readonly clock: Clock;
  readonly backend: Backend;
  readonly numericMode?: NumericMode;
  readonly hash: (bytes: Uint8Array) => string;
  /** Returns the virtual time that a shard of this many samples takes. */
  readonly computeMs: (samples: number) => number;
  readonly link: LinkSpeed;
  /** Whether its messages travel as encoded frames. */
  readonly encodes?: boolean;
  /** Returns a number from 0 to 1, to spread its reconnections. */
  readonly random: () => number;
  /** Called before each result. */
  readonly resultFault: () => ResultFault | undefined;
  /** How it lies; honest by default. */
  readonly lie?: Lie | undefined;
  readonly habit?: LiarHabit | undefined;
  /** Whether it leaves after each result and joins as a new worker. */
  readonly joinsAnew?: boolean;
  /** Bytes of its sample cache. */
  readonly sampleCacheBytes: number;
}

/** Number of results that a late liar delays: a worker that is always late gets no share. */
const lateLies = 3;

export class SimulatedWorker {
  readonly process: SimulatedProcess;
  /** The newest connection. */
  link: SimulatedLink | undefined;
  /** Results that a liar has sent. */
  readonly told = { right: 0, wrong: 0 };
  readonly #options: SimulatedWorkerOptions;
  readonly #route: Route;
  readonly #compute: Compute;
  #gradientOf: Awaited<ReturnType<typeof openGradient>> | undefined;
  /** The newest weights, and the previous ones. */
  #weights: readonly [Uint8Array, Uint8Array] = [new Uint8Array(), new Uint8Array()];
  #resultBefore: ShardGradient | undefined;
  #membership: Membership | undefined;
  #hasFinished = false;
  #countOf = (_samples: ShardSamples, targets: TargetValues): number => targets.length;

  constructor(options: SimulatedWorkerOptions) {
    const { backend, numericMode = 'exact', clock, coordinator } = options;
    this.#options = options;
    this.process = new SimulatedProcess(clock);
    this.#route = typeof coordinator === 'function' ? coordinator(this.process) : routeTo(coordinator);
    this.#compute = {
      backend: backend.name,
      numericMode: numericMode === 'exact' ? backend.numericMode : numericMode,
      threads: 1,
      open: (setup) => this.#open(setup),
      setWeights: (bytes) => {
        this.#weights = [numericModes[numericMode](bytes).slice(), this.#weights[0]];
      },
      gradient: (...shard) => this.#gradient(...shard),
      close: async () => {},
    };
    this.#join();
  }

  get name(): string {
    return this.#options.name;
  }

  get lie(): Lie | undefined {
    return this.#options.lie;
  }

  get #results(): number {
    return this.told.right + this.told.wrong;
  }

  get ended(): boolean {
    return this.process.isDead || this.#hasFinished;
  }

  /** Ends it as `kill -9` does: none of its code runs any more, and its connection breaks. */
  kill(): void {
    this.process.kill();
    this.link?.cut('killed');
  }

  /** Suspends its code for this long; its connection stays open, and arrivals wait. */
  freeze(forMs: number): void {
    this.process.freeze(forMs);
  }

  moveTo(address: string): void {
    this.#route.moveTo?.(address);
  }

  #join(): void {
    const { name, encodes = false, hash, random, sampleCacheBytes, habit } = this.#options;
    const membership = new Membership({
      compute: this.#compute,
      identity: { kind: habit?.isRelay ? 'relay' : encodes ? 'node' : 'local', name },
      clock: this.process,
      hash,
      random,
      sampleCacheBytes,
      connect: () => this.#connect(),
      onWelcome: (welcome) => this.#route.noteWelcome?.(welcome),
      waitForCoordinator: typeof this.#options.coordinator === 'function',
      onEvent: (event) => this.#noteEvent(event, membership),
    });
    this.#membership = membership;
    void membership.ended.then((end) => this.#noteEnd(end, membership));
  }

  async #connect(): Promise<SimulatedLink['worker']> {
    const { name, address, clock, link: speed, encodes = false } = this.#options;
    const coordinator = await this.#route.find();
    if (!coordinator) this.#hasFinished = true;
    if (!coordinator?.process) throw new Error('the connection was refused');
    const ends = { coordinator: coordinator.process, worker: this.process };
    this.link = new SimulatedLink({ clock, speed, ends, workerName: name, encodes });
    coordinator.accept(this.link.coordinator, address);
    return this.link.worker;
  }

  #noteEvent({ type }: MembershipEvent, membership: Membership): void {
    if (type !== 'computed' || this.#options.joinsAnew !== true) return;
    // The result leaves before the goodbye.
    this.process.after(0, () => membership.leave('leaves, to come back as another'));
  }

  #noteEnd({ type, message }: MembershipEnd, membership: Membership): void {
    if (this.process.isDead || membership !== this.#membership) return;
    // A worker that leaves while its connection is broken says only that it left.
    const hasLeft = this.#options.joinsAnew === true && /^(?:leaves|left)/.test(message);
    if (type === 'refused') this.#route.noteRefusal?.();
    if (type === 'finished' && !hasLeft) void this.#followRun();
    else this.process.after(hasLeft ? 1 : restartMs, () => this.#join());
  }

  async #followRun(): Promise<void> {
    if (await this.#route.goesOn()) this.#join();
    else this.#hasFinished = true;
  }

  async #open(setup: ComputeSetup): Promise<void> {
    this.#gradientOf = await openGradient(this.#options.backend, setup);
    const { targetField = classField } = setup;
    const model = parseModel(setup.model);
    this.#countOf = (samples, targets) => countOf(samples, targets, model, targetField);
  }

  async #gradient(...shard: Parameters<Compute['gradient']>): Promise<ShardGradient> {
    const { resultFault, lie, habit } = this.#options;
    const gradientOf = this.#gradientOf;
    if (!gradientOf) throw new Error('compute: expected open() before a shard');
    const [samples, targets, given] = shard;
    const isCheck = given?.key === undefined;
    const count = this.#countOf(samples, targets);
    const [weights, olderWeights] = this.#weights;
    const boasts = lie === 'no-answer' || habit?.boasts === true;
    const takenMs = this.#options.computeMs(count) + (isCheck || this.#results >= lateLies ? 0 : (habit?.lateMs ?? 0));
    const computeMs = isCheck && boasts ? 0.001 : takenMs;
    await new Promise<void>((resolve) => this.process.after(computeMs, resolve));
    const truth = { ...(await gradientOf(weights, ...shard)), computeMs };
    if (isCheck) return truth;
    if (lie === undefined) return (resultFault() ?? ((result) => result))(truth);
    const before = this.#resultBefore;
    this.#resultBefore = { ...truth, gradient: truth.gradient.slice() };
    const withOlderWeights = async () => ({ ...(await gradientOf(olderWeights, ...shard)), computeMs });
    const isHonest = this.#results < (habit?.honestResults ?? 0);
    const told = isHonest ? truth : await lies[lie](truth, { before, withOlderWeights });
    this.told[isTruth(told, truth) ? 'right' : 'wrong'] += 1;
    return told;
  }
}

/** Returns a route to a single address; the run is over when that listener says so. */
function routeTo(coordinator: Listener): Route {
  return { find: async () => coordinator, goesOn: async () => false };
}

interface Context {
  /** The honest result for the liar's previous shard; undefined for its first. */
  readonly before: ShardGradient | undefined;
  /** Computes the shard's gradient with the weights of the previous step. */
  readonly withOlderWeights: () => Promise<ShardGradient>;
}

export const lies = {
  'one-bit': (truth) =>
    withGradient(truth, (values, bytes) => {
      const lowest = 4 * (values.length - 1);
      bytes[lowest] = bytes[lowest]! ^ 1;
    }),
  sign: (truth) => withGradient(truth, (values) => values.set(values.map((value) => -value))),
  scaled: (truth) => withGradient(truth, (values) => values.set(values.map((value) => value * 1.01))),
  'other-shard': (truth, { before }) => ({ ...truth, gradient: before?.gradient ?? truth.gradient }),
  'older-step': async (_truth, { withOlderWeights }) => withOlderWeights(),
  loss: (truth) => ({ ...truth, lossSum: truth.lossSum * 2 + 1 }),
  correct: (truth) => ({ ...truth, correct: truth.correct === 0 ? 1 : 0 }),
  'non-finite': (truth) => ({ ...truth, lossSum: Number.NaN }),
  /** Claims that its numerics check took no time, and never returns a shard. */
  'no-answer': () => new Promise<ShardGradient>(() => {}),
} satisfies Record<string, (truth: ShardGradient, context: Context) => ShardGradient | Promise<ShardGradient>>;

export type Lie = keyof typeof lies;

/** Lies that the rounding of nodes may hide. */
export const fineLies: readonly Lie[] = ['one-bit', 'scaled'];

/** Further behavior of a liar that might let its results count before they are compared. */
export interface LiarHabit {
  /** Delay of its first results in milliseconds: by then others have sent most of them. */
  readonly lateMs: number;
  /** Whether it claims that its numerics check took no time, to seem arbitrarily fast. */
  readonly boasts: boolean;
  /** Whether it claims to be a relay. */
  readonly isRelay: boolean;
  /** Whether it joins before all honest workers. */
  readonly isFirst: boolean;
  /** Number of correct results that it sends first. */
  readonly honestResults: number;
}

/** Whether a lie left the result unchanged, such as the sign of an all-zero gradient. */
function isTruth(told: ShardGradient, truth: ShardGradient): boolean {
  return (
    told.lossSum === truth.lossSum &&
    told.correct === truth.correct &&
    told.gradient.length === truth.gradient.length &&
    told.gradient.every((byte, index) => byte === truth.gradient[index])
  );
}

function withGradient(truth: ShardGradient, change: (values: Float32Array, bytes: Uint8Array) => void): ShardGradient {
  const gradient = truth.gradient.slice();
  change(new Float32Array(gradient.buffer), gradient);
  return { ...truth, gradient };
}

/** Corrupts a single result of an honest worker. */
type ResultFault = (result: ShardGradient) => ShardGradient;

export const resultFaults: readonly ResultFault[] = [
  (result) => ({ ...result, gradient: result.gradient.subarray(4) }),
  (result) => {
    const gradient = result.gradient.slice();
    new Float32Array(gradient.buffer, 0, 1)[0] = Number.NaN;
    return { ...result, gradient };
  },
  () => {
    throw new ComputeError('device-lost', 'the simulated device was lost');
  },
];

/** Plays one run in virtual time, with seeded faults, and records what happened. */

import { hashWith } from '@lockstep/compute';
import type { RunOutcome } from '@lockstep/coordinator';
import { errorMessage } from '@lockstep/data/shown';
import type { Clock } from '@lockstep/protocol';
import { type CoordinatorState, initialState, type RunEvent } from '@lockstep/rules';
import { type Backend, isHostBackend, randomStream } from '@lockstep/tensor';
import type { Entry, Happening } from './chronicle.ts';
import { type FaultKind, faults, pick, stutter, type World } from './faults.ts';
import { type SampleLedger, stateFault, TrustLedger, WeightsLedger } from './invariants.ts';
import type { Problem, RunParts } from './problem.ts';
import { fleetRoute, type SimulatedFleet } from './routes.ts';
import { type EarlyStop, SimulatedCoordinator } from './simulated-coordinator.ts';
import type { LinkSpeed } from './simulated-link.ts';
import { VirtualClock } from './simulated-process.ts';
import { RelayTree, type SimulatedRelay } from './simulated-relay.ts';
import {
  fineLies,
  type LiarHabit,
  type Lie,
  type Listener,
  resultFaults,
  SimulatedWorker,
} from './simulated-worker.ts';

interface SimulationOptions {
  /** Everything of a run that the simulation does not provide. */
  readonly run: RunParts;
  /** Counts the run's samples; omitted if they are not counted. */
  readonly ledger?: SampleLedger;
  /** Creates the run again after a crash of the coordinator. */
  readonly resume?: Problem['resume'];
  /** Coordinators that take turns at the run, and the part they share; by default one coordinator with a disk. */
  readonly fleet?: { readonly coordinators: number; readonly open: (clock: Clock) => SimulatedFleet };
  readonly seed: number;
  /** Computes for all workers, one after another. */
  readonly backend: Backend;
  /** Relays of each level, the topmost first; by default workers join the coordinator itself. */
  readonly relays?: readonly number[] | undefined;
  /** Honest workers at the start. */
  readonly workers: number;
  /** Additional honest workers at the start, each frozen for 90 % of every period of this many milliseconds. */
  readonly stutterEveryMs?: readonly number[];
  /** No worker is started once this many live; unlimited by default. */
  readonly mostWorkers?: number;
  /** Mean virtual time between two faults; infinite for none. */
  readonly faultEveryMs: number;
  /** Time of the first fault; by default the beginning. */
  readonly faultsFromMs?: number | undefined;
  /** Possible faults; by default workers join, are killed and freeze. */
  readonly faults?: readonly FaultKind[];
  /** From this time on no fault happens; a worker that stays joins at this time. */
  readonly calmAtMs?: number;
  /** Chance, 0 to 1, that a single result of an honest worker is corrupt. */
  readonly corruptResults: number;
  /** Additional workers at the start that lie in these ways. */
  readonly liars?: readonly Lie[];
  readonly liarHabit?: LiarHabit | undefined;
  /** Whether liars leave after each result and join as new workers. */
  readonly liarsJoinAnew?: boolean;
  /** Chance, 0 to 1, that a worker's numeric mode differs from the coordinator's. */
  readonly otherModes?: number;
  /** Bandwidth of every link; by default drawn for each. */
  readonly bytesPerMs?: number;
  /** Whether messages travel as encoded frames. */
  readonly encodes?: boolean;
  /** The epoch after which the run stops early; by default it takes all steps. */
  readonly earlyStop?: EarlyStop | undefined;
  /** Microbatches per millisecond that coordinators compute themselves; none by default. */
  readonly colocated?: number | undefined;
  /** Steps between two checkpoints; none is written by default. */
  readonly checkpointEvery?: number;
  /** Lets ready promises run; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Whether to stop after this event; by default the run is played to its end. */
  readonly until?: (event: Happening) => boolean;
  /** Virtual time after which the run counts as hung. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  /** State of the coordinator that ended the run; `others` are the states of all other lives of coordinators. */
  readonly state: CoordinatorState;
  readonly others: readonly CoordinatorState[];
  /** States of all runs of each relay, by its name. */
  readonly relays: ReadonlyMap<string, readonly CoordinatorState[]>;
  /** Describes the first step after which two lives had different weights: a fault if the run is exact without lies. */
  readonly divided: string | undefined;
  readonly weights: Float32Array;
  readonly events: readonly RunEvent[];
  readonly chronicle: readonly Entry[];
  /** How often each kind of fault met the run. */
  readonly met: Readonly<Record<FaultKind, number>>;
  /** Lies of the run's liars. */
  readonly lies: readonly Lie[];
  /** Names of the workers that lie. */
  readonly liars: readonly string[];
  /** Results that each liar has sent, by name. For the right ones it may have been taken for an honest worker. */
  readonly told: ReadonlyMap<string, { readonly right: number; readonly wrong: number }>;
  /** Names of honest workers whose results were corrupt. */
  readonly corrupt: readonly string[];
  /** Names of quarantined workers. */
  readonly quarantined: readonly string[];
  /** Describes the first rule that was violated after an event. */
  readonly fault: string | undefined;
  readonly virtualMs: number;
}

/** How long workers are watched after a run that another run may follow. */
const afterRunMs = 3_000;

export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { drain, limitMs } = options;
  const simulator = new Simulator(options);
  simulator.begin();
  const { clock } = simulator;
  let fault: string | undefined;
  await drain();
  while (!simulator.isOver && fault === undefined && clock.nowMs() < limitMs) {
    try {
      if (!clock.step()) break;
    } catch (error) {
      fault = `a coordinator threw: ${errorMessage(error)}`;
    }
    fault ??= simulator.newFault();
    await drain();
  }
  if (fault === undefined && simulator.outcome?.type === 'finished' && options.run.setup.anotherMayFollow) {
    const untilMs = clock.nowMs() + afterRunMs;
    while (clock.nowMs() < untilMs && clock.step()) await drain();
    fault = simulator.departureFault();
  }
  return simulator.result(fault);
}

/** Most bytes in flight on a link besides those of its tasks: heartbeats, cancels and messages of joining. */
const mostOtherBytes = 64 * 1024;

class Simulator implements World {
  readonly clock = new VirtualClock();
  readonly fleet: SimulatedFleet | undefined;
  readonly coordinators: readonly SimulatedCoordinator[];
  readonly mostWorkers: number;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  readonly #options: SimulationOptions;
  readonly #workers: SimulatedWorker[] = [];
  readonly #chronicle: Entry[] = [];
  readonly #met = Object.fromEntries(Object.keys(faults).map((kind) => [kind, 0])) as Record<FaultKind, number>;
  readonly #trust = new WeakMap<CoordinatorState, TrustLedger>();
  #isEnough = false;
  readonly #corrupt = new Set<string>();
  readonly #quarantined: string[] = [];
  readonly #mostBytes: number;
  readonly #tree: RelayTree | undefined;
  readonly #weights = new WeightsLedger();
  /** Per state, the number of events it had handled when its invariants were last checked. */
  readonly #checked = new Map<CoordinatorState, number>();

  constructor(options: SimulationOptions) {
    const { run, ledger, resume, checkpointEvery, earlyStop, seed } = options;
    this.#options = options;
    this.mostWorkers = options.mostWorkers ?? Number.POSITIVE_INFINITY;
    this.chance = randomStream(seed);
    this.fleet = options.fleet?.open(this.clock);
    const { colocated: rate } = options;
    const parts = {
      ...{ clock: this.clock, run, ledger, resume, fleet: this.fleet, checkpointEvery, earlyStop },
      writeMs: 100 * this.chance(),
      refereeMs: 50 * this.chance(),
      colocatedMs: rate ? (microbatches: number) => (microbatches / rate) * (0.8 + 0.4 * this.chance()) : undefined,
      note: (happening: Happening, name?: string) => this.#note(happening, name),
      onWeights: (step: number, weights: Float32Array) => this.#weights.note(step, weights),
      onGoBack: (step: number, weights: Float32Array) => this.#weights.goBack(step, weights),
    };
    this.coordinators = this.fleet
      ? Array.from({ length: options.fleet!.coordinators }, (_, index) => `coordinator ${index + 1}`).map(
          (name) => new SimulatedCoordinator({ ...parts, name }),
        )
      : [new SimulatedCoordinator({ ...parts, name: 'the coordinator' })];
    const { plan, sampleBytes = 0 } = run.setup;
    // Room for the weights or gradient, and the samples, of two steps in each direction.
    this.#mostBytes = mostOtherBytes + 8 * (run.parameterServer.parameterCount * 4 + plan.batch * (sampleBytes + 8));
    this.#tree = this.#createTree();
  }

  get relays(): readonly SimulatedRelay[] {
    return this.#tree?.relays ?? [];
  }

  get living(): readonly SimulatedWorker[] {
    return this.#workers.filter(({ ended }) => !ended);
  }

  /** Starts the first workers and the faults. */
  begin(): void {
    const { workers, stutterEveryMs = [], liars = [], faultEveryMs } = this.#options;
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    const isFirst = this.#options.liarHabit?.isFirst === true;
    if (isFirst) for (const lie of liars) this.join(lie);
    for (let worker = 0; worker < workers; worker++) this.join();
    for (const everyMs of stutterEveryMs) stutter(this, this.join(), everyMs, Number.POSITIVE_INFINITY);
    if (!isFirst) for (const lie of liars) this.join(lie);
    if (Number.isFinite(faultEveryMs)) this.#beginFaults(faultEveryMs);
    if (!Number.isFinite(calmAtMs)) return;
    this.clock.after(calmAtMs, () => {
      this.#note({
        type: 'fault',
        text: `${this.join(undefined, true).name} is started, and nothing else happens from now on`,
      });
    });
  }

  /** Starts a worker of random speed on a link of random speed. @param isDirect whether it bypasses all relays */
  join(lie?: Lie, isDirect = false): SimulatedWorker {
    const { backend, run, corruptResults, liarsJoinAnew = false, otherModes = 0, encodes } = this.#options;
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    const number = this.#workers.length + 1;
    // The last worker must end the run, and a run that rounds nodes accepts no other numeric mode.
    const isOfOwnMode = isDirect && run.setup.plan.halfUnit !== undefined;
    const samplesPerMs = 1 + 30 * this.chance();
    const name = `worker ${number}`;
    const worker = new SimulatedWorker({
      name,
      address: `10.0.0.${number}`,
      coordinator: this.#route(isDirect),
      clock: this.clock,
      backend,
      numericMode: otherModes > 0 && this.chance() < otherModes && !isOfOwnMode ? 'nudged' : 'exact',
      hash: hashWith(run.newHash),
      computeMs: (samples) => (samples / samplesPerMs) * (0.8 + 0.4 * this.chance()),
      link: this.#linkSpeed(),
      ...(encodes === undefined ? {} : { encodes }),
      random: this.chance,
      // Most real workers cache samples; some lack the memory.
      sampleCacheBytes: this.chance() < 0.7 ? Number.MAX_SAFE_INTEGER : 0,
      lie,
      ...(lie !== undefined && { habit: this.#options.liarHabit }),
      joinsAnew: lie !== undefined && liarsJoinAnew,
      resultFault: () => {
        if (this.chance() >= corruptResults || this.clock.nowMs() >= calmAtMs) return undefined;
        this.#corrupt.add(name);
        return pick(this, resultFaults);
      },
    });
    this.#workers.push(worker);
    return worker;
  }

  after(delayMs: number, callback: () => void): void {
    this.clock.after(delayMs, callback);
  }

  /** Whether the run has ended, or the event has happened after which the simulation stops. */
  get isOver(): boolean {
    return this.outcome !== undefined || this.#isEnough;
  }

  /** Outcome of the first coordinator that has taken the last step or failed. */
  get outcome(): RunOutcome | undefined {
    return this.#finisher?.outcome;
  }

  get #finisher(): SimulatedCoordinator | undefined {
    return this.coordinators.find(({ outcome }) => outcome !== undefined);
  }

  /** Describes an invariant that has been violated since the last event. */
  newFault(): string | undefined {
    const failed = this.relays.find(({ failure }) => failure !== undefined);
    if (failed) return `${failed.name} failed: ${failed.failure}`;
    const places = [...this.coordinators, ...this.relays];
    const changed = places.filter(({ state }) => state && this.#checked.get(state) !== state.handled);
    if (changed.length === 0) return undefined;
    for (const { name, state } of changed) {
      const fault = stateFault(state!) ?? this.#trustOf(state!).faultOf(state!) ?? this.#confirmationFault(state!);
      if (fault !== undefined) return `${name}: ${fault}`;
    }
    this.#checked.clear();
    for (const { state } of places) if (state) this.#checked.set(state, state.handled);
    return this.coordinators.find(({ fault }) => fault)?.fault ?? this.#linkFault();
  }

  /** Describes a lie that was confirmed. Liars that lie alike may confirm each other, and rounded nodes may hide lies. */
  #confirmationFault({ connections, records, setup }: CoordinatorState): string | undefined {
    const { liars = [] } = this.#options;
    const mayBeHidden = setup.plan.halfUnit !== undefined && liars.some((lie) => fineLies.includes(lie));
    if (mayBeHidden || new Set(liars).size < liars.length) return undefined;
    for (const { name, told } of this.#workers.filter(({ lie }) => lie !== undefined)) {
      for (const { workerId = '', confirmed } of connections.values()) {
        if (records.get(workerId)?.name !== name || confirmed <= told.right) continue;
        return `${confirmed} results of the liar ${name} are confirmed, of which ${told.right} are right`;
      }
    }
    return undefined;
  }

  #trustOf(state: CoordinatorState): TrustLedger {
    const trust = this.#trust.get(state) ?? new TrustLedger();
    this.#trust.set(state, trust);
    return trust;
  }

  /** Describes a worker that did not wait for the run that may follow. */
  departureFault(): string | undefined {
    const gone = this.#workers.find(({ ended, process }) => ended && !process.isDead);
    return gone && `${gone.name} has left, and another run may follow`;
  }

  result(fault: string | undefined): Simulation {
    const ends = this.#finisher ?? this.coordinators.find(({ state }) => state !== undefined);
    const ended = this.coordinators.flatMap((coordinator) => coordinator.ended);
    const living = this.coordinators.flatMap(({ state }) => state ?? []);
    const state = ends?.state ?? ended.at(-1) ?? initialState(this.#options.run.setup);
    const events = this.#chronicle.flatMap(({ happening, relay }) =>
      happening.type === 'fault' || happening.type === 'step' || relay !== undefined ? [] : [happening],
    );
    return {
      outcome: ends?.outcome ?? { type: 'hung' },
      state,
      others: [...ended, ...living].filter((other) => other !== state),
      relays: new Map(this.relays.map(({ name, ended, state }) => [name, state ? [...ended, state] : ended])),
      divided: this.#weights.fault,
      weights: ends?.kept ?? (ends?.parts ?? this.#options.run).parameterServer.weights(),
      events,
      chronicle: this.#chronicle,
      met: this.#met,
      lies: this.#workers.flatMap(({ lie }) => lie ?? []),
      liars: this.#workers.filter(({ lie }) => lie !== undefined).map(({ name }) => name),
      told: new Map(this.#workers.flatMap(({ name, lie, told }) => (lie === undefined ? [] : [[name, told]]))),
      corrupt: [...this.#corrupt],
      quarantined: this.#quarantined,
      fault,
      virtualMs: this.clock.nowMs(),
    };
  }

  /** Returns a route to the only coordinator, to the leading one, or from a place in the tree. */
  #route(isDirect: boolean): ConstructorParameters<typeof SimulatedWorker>[0]['coordinator'] {
    if (this.#tree) return isDirect ? this.#tree.directRoute() : this.#tree.routeOfWorker();
    const { fleet } = this;
    return fleet ? (process) => fleetRoute(fleet.finder(process), this.#named) : this.coordinators[0]!;
  }

  readonly #named = (name: string): Listener | undefined =>
    this.coordinators.find((coordinator) => coordinator.name === name);

  #createTree(): RelayTree | undefined {
    const { relays: levels, backend, run, encodes = false } = this.#options;
    if (!levels) return undefined;
    if (!isHostBackend(backend)) throw new Error('relays: expected a backend in memory that JavaScript sees');
    const { fleet, clock, chance } = this;
    return new RelayTree({
      ...{ levels, clock, backend, run, chance, encodes },
      linkSpeed: () => this.#linkSpeed(),
      coordinator: async (process: Clock) =>
        fleet ? fleetRoute(fleet.finder(process), this.#named).find() : this.coordinators[0],
      isRunOver: () => this.outcome !== undefined,
      onEvent: (relay, event, name) => this.#note(event, name, relay),
    });
  }

  #linkSpeed(): LinkSpeed {
    const { bytesPerMs } = this.#options;
    const latencyMs = 0.1 + 20 * this.chance();
    return { latencyMs, bytesPerMs: bytesPerMs ?? 1_000 + 100_000 * this.chance() };
  }

  #beginFaults(meanMs: number): void {
    const { faultsFromMs } = this.#options;
    if (faultsFromMs === undefined) this.#scheduleFault(meanMs);
    else this.clock.after(faultsFromMs, () => this.#scheduleFault(meanMs));
  }

  /** Schedules faults at exponentially distributed intervals. */
  #scheduleFault(meanMs: number): void {
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    this.clock.after(-meanMs * Math.log(1 - this.chance()), () => {
      if (this.outcome !== undefined || this.clock.nowMs() >= calmAtMs) return;
      this.#injectFault();
      this.#scheduleFault(meanMs);
    });
  }

  #injectFault(): void {
    const { faults: kinds = ['join', 'kill', 'freeze'] } = this.#options;
    const kind = this.living.length === 0 ? 'join' : pick(this, kinds);
    const text = kind && faults[kind](this);
    if (kind === undefined || text === undefined) return;
    this.#met[kind] += 1;
    this.#note({ type: 'fault', text });
  }

  #linkFault(): string | undefined {
    for (const { name, link } of [...this.#workers, ...this.relays]) {
      if (link?.workerFault !== undefined) return `${name} ends its connection: ${link.workerFault}`;
      const bytes = link?.bufferedBytes ?? 0;
      if (bytes > this.#mostBytes) return `${bytes} bytes wait on the link of ${name}`;
    }
    return undefined;
  }

  #note(happening: Happening, name?: string, relay?: string): void {
    if (this.#options.until?.(happening)) this.#isEnough = true;
    this.#chronicle.push({ atMs: this.clock.nowMs(), happening, name, relay });
    if (happening.type === 'quarantined') this.#quarantined.push(name ?? '');
  }
}

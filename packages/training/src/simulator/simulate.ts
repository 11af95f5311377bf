/** Whole runs in virtual time, with faults of every kind at moments drawn from a seed. */
import { type Backend, randomStream } from '@lockstep/tensor';
import type { RunEvent } from '../coordinator/events.ts';
import type { RunOutcome } from '../coordinator/run-options.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import type { Entry, Happening } from './chronicle.ts';
import { type FaultKind, faults, stutter, type World } from './faults.ts';
import { type Lie, resultFaults } from './lies.ts';
import type { Problem, RunParts } from './problem.ts';
import type { SampleLedger } from './sample-ledger.ts';
import { SimulatedCoordinator } from './simulated-coordinator.ts';
import type { LinkSpeed } from './simulated-link.ts';
import { SimulatedWorker } from './simulated-worker.ts';
import { stateFault } from './state-fault.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface SimulationOptions {
  /** Everything of a run that does not come from the simulation. */
  readonly run: RunParts;
  /** Counts the run's samples, where they are to be counted. */
  readonly ledger?: SampleLedger;
  /** Makes the run anew after a crash of the coordinator. */
  readonly resume?: Problem['resume'];
  readonly seed: number;
  /** Computes for all workers, one after another. */
  readonly backend: Backend;
  /** Honest workers at the start. */
  readonly workers: number;
  /** Honest workers at the start, beside those, that stand still for 90 % of each period of so many milliseconds. */
  readonly stutterEveryMs?: readonly number[];
  /** No more are started beside so many; any number where left out. */
  readonly mostWorkers?: number;
  /** Mean virtual time between two faults; infinite for none. */
  readonly faultEveryMs: number;
  /** What may happen; workers join, are killed and freeze where left out. */
  readonly faults?: readonly FaultKind[];
  /** From then on nothing happens any more, and one worker that stays has joined. */
  readonly calmAtMs?: number;
  /** Chance, 0 to 1, that a single result of an honest worker is corrupt. */
  readonly corruptResults: number;
  /** Workers at the start, beside the honest ones, that lie in this way. */
  readonly liars?: readonly Lie[];
  /** Whether liars leave after each result, and join as new workers. */
  readonly liarsJoinAnew?: boolean;
  /** Chance, 0 to 1, that a worker has another numeric mode than the coordinator. */
  readonly otherModes?: number;
  /** Bandwidth of every link; drawn for each where left out. */
  readonly bytesPerMs?: number;
  /** Whether messages travel as encoded frames. */
  readonly encodes?: boolean;
  /** Steps between two checkpoints; none is written where left out. */
  readonly checkpointEvery?: number;
  /** Lets promises that are ready run on; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Virtual time after which the run counts as hung. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  /** Of the coordinator that ended the run, and of those that crashed before it. */
  readonly state: CoordinatorState;
  readonly crashed: readonly CoordinatorState[];
  readonly weights: Float32Array;
  readonly events: readonly RunEvent[];
  readonly chronicle: readonly Entry[];
  /** How often each kind of fault met the run. */
  readonly met: Readonly<Record<FaultKind, number>>;
  /** Names of the workers that lie. */
  readonly liars: readonly string[];
  /** Names of honest workers whose results were corrupt. */
  readonly corrupt: readonly string[];
  /** Names of the workers that were quarantined. */
  readonly quarantined: readonly string[];
  /** The first rule that did not hold after an event, in words. */
  readonly fault: string | undefined;
  readonly virtualMs: number;
}

export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { drain, limitMs } = options;
  const simulator = new Simulator(options);
  simulator.begin();
  const { clock, coordinator } = simulator;
  let fault: string | undefined;
  await drain();
  while (coordinator.outcome === undefined && fault === undefined && clock.nowMs() < limitMs) {
    try {
      if (!clock.step()) break;
    } catch (error) {
      fault = `the coordinator threw: ${error instanceof Error ? error.message : String(error)}`;
    }
    fault ??= simulator.newFault();
    await drain();
  }
  return simulator.result(fault);
}

/** Bytes that may be under way on a link beside what its tasks explain: heartbeats, cancels and messages of joining. */
const mostOtherBytes = 64 * 1024;

/** The coordinator, its workers, and the seeded choices of what happens to them. */
class Simulator implements World {
  readonly clock = new VirtualClock();
  readonly coordinator: SimulatedCoordinator;
  readonly mostWorkers: number;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  readonly #options: SimulationOptions;
  readonly #workers: SimulatedWorker[] = [];
  readonly #chronicle: Entry[] = [];
  readonly #met = Object.fromEntries(Object.keys(faults).map((kind) => [kind, 0])) as Record<FaultKind, number>;
  readonly #corrupt = new Set<string>();
  readonly #quarantined: string[] = [];
  readonly #mostBytes: number;
  #checked: CoordinatorState | undefined;

  constructor(options: SimulationOptions) {
    const { run, ledger, resume, checkpointEvery, seed } = options;
    this.#options = options;
    this.mostWorkers = options.mostWorkers ?? Number.POSITIVE_INFINITY;
    this.chance = randomStream(seed);
    const note = (happening: Happening): void => this.#note(happening);
    const times = { writeMs: 100 * this.chance(), refereeMs: 50 * this.chance() };
    const { clock } = this;
    this.coordinator = new SimulatedCoordinator({ clock, run, ledger, resume, checkpointEvery, ...times, note });
    const { plan, sampleBytes = 0 } = run.setup;
    // Weights or a gradient, and samples, of two steps in each direction.
    this.#mostBytes = mostOtherBytes + 8 * (run.parameterServer.parameterCount * 4 + plan.batch * (sampleBytes + 8));
  }

  get living(): readonly SimulatedWorker[] {
    return this.#workers.filter(({ ended }) => !ended);
  }

  /** Starts the first workers, and whatever happens to them. */
  begin(): void {
    const { workers, stutterEveryMs = [], liars = [], faultEveryMs } = this.#options;
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    for (let worker = 0; worker < workers; worker++) this.join();
    for (const everyMs of stutterEveryMs) stutter(this, this.join(), everyMs, Number.POSITIVE_INFINITY);
    for (const lie of liars) this.join(lie);
    if (Number.isFinite(faultEveryMs)) this.#scheduleFault(faultEveryMs);
    if (!Number.isFinite(calmAtMs)) return;
    this.clock.after(calmAtMs, () => {
      this.#note({ type: 'fault', text: `${this.join().name} is started, and nothing else happens from now on` });
    });
  }

  /** A worker of its own speed, on a link of its own. */
  join(lie?: Lie): SimulatedWorker {
    const { backend, run, corruptResults, liarsJoinAnew = false, otherModes = 0, encodes } = this.#options;
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    const number = this.#workers.length + 1;
    const samplesPerMs = 1 + 30 * this.chance();
    const name = `worker ${number}`;
    const worker = new SimulatedWorker({
      name,
      address: `10.0.0.${number}`,
      coordinator: this.coordinator,
      clock: this.clock,
      backend,
      numericMode: otherModes > 0 && this.chance() < otherModes ? 'nudged' : 'exact',
      checksum: run.checksum,
      hash: run.hash,
      computeMs: (samples) => (samples / samplesPerMs) * (0.8 + 0.4 * this.chance()),
      link: this.#linkSpeed(),
      ...(encodes === undefined ? {} : { encodes }),
      random: this.chance,
      // Most real workers cache samples; some have no memory for it.
      sampleCacheBytes: this.chance() < 0.7 ? Number.MAX_SAFE_INTEGER : 0,
      lie,
      joinsAnew: lie !== undefined && liarsJoinAnew,
      resultFault: () => {
        if (this.chance() >= corruptResults || this.clock.nowMs() >= calmAtMs) return undefined;
        this.#corrupt.add(name);
        return this.#pick(resultFaults);
      },
    });
    this.#workers.push(worker);
    return worker;
  }

  after(delayMs: number, callback: () => void): void {
    this.clock.after(delayMs, callback);
  }

  /** What does not hold since the last event, in words. */
  newFault(): string | undefined {
    const { state, sampleFault } = this.coordinator;
    if (state === undefined || state === this.#checked) return undefined;
    this.#checked = state;
    return stateFault(state) ?? sampleFault ?? this.#queueFault();
  }

  result(fault: string | undefined): Simulation {
    const { outcome, state, parts, crashed } = this.coordinator;
    const { run } = this.#options;
    const events = this.#chronicle.flatMap(({ happening }) =>
      happening.type === 'fault' || happening.type === 'step' ? [] : [happening],
    );
    return {
      outcome: outcome ?? { type: 'hung' },
      state: state ?? crashed.at(-1)!,
      crashed,
      weights: (parts ?? run).parameterServer.weights(),
      events,
      chronicle: this.#chronicle,
      met: this.#met,
      liars: this.#workers.filter(({ lie }) => lie !== undefined).map(({ name }) => name),
      corrupt: [...this.#corrupt],
      quarantined: this.#quarantined,
      fault,
      virtualMs: this.clock.nowMs(),
    };
  }

  #linkSpeed(): LinkSpeed {
    const { bytesPerMs } = this.#options;
    const latencyMs = 0.1 + 20 * this.chance();
    return { latencyMs, bytesPerMs: bytesPerMs ?? 1_000 + 100_000 * this.chance() };
  }

  /** Something happens at exponentially distributed intervals. */
  #scheduleFault(meanMs: number): void {
    const { calmAtMs = Number.POSITIVE_INFINITY } = this.#options;
    this.clock.after(-meanMs * Math.log(1 - this.chance()), () => {
      if (this.clock.nowMs() >= calmAtMs) return;
      this.#injectFault();
      this.#scheduleFault(meanMs);
    });
  }

  #injectFault(): void {
    const { faults: kinds = ['join', 'kill', 'freeze'] } = this.#options;
    const kind = this.living.length === 0 ? 'join' : this.#pick(kinds);
    const text = kind && faults[kind](this);
    if (kind === undefined || text === undefined) return;
    this.#met[kind] += 1;
    this.#note({ type: 'fault', text });
  }

  #queueFault(): string | undefined {
    for (const { name, link } of this.#workers) {
      const bytes = link?.bufferedBytes ?? 0;
      if (bytes > this.#mostBytes) return `${bytes} bytes wait on the link of ${name}`;
    }
    return undefined;
  }

  #note(happening: Happening): void {
    const name = 'workerId' in happening ? this.#nameOf(happening.workerId) : undefined;
    this.#chronicle.push({ atMs: this.clock.nowMs(), happening, name });
    if (happening.type === 'quarantined') this.#quarantined.push(name ?? '');
  }

  #nameOf(workerId: string | undefined): string | undefined {
    return this.coordinator.state?.records.get(workerId ?? '')?.name;
  }

  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.chance() * items.length)];
  }
}

/** Whole runs in virtual time, with joins, deaths, freezes and corrupt results drawn from a seed. */
import { type Backend, randomStream } from '@lockstep/tensor';
import type { RunEvent } from '../coordinator/events.ts';
import { Run, type RunOptions, type RunOutcome } from '../coordinator/run.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import { createLocalCompute } from '../worker/local-compute.ts';
import { type Lie, type LinkSpeed, resultFaults, SimulatedWorker } from './simulated-worker.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface SimulationOptions {
  /** Everything of a run that does not come from the simulation. */
  readonly run: Omit<RunOptions, 'clock' | 'newResumeKey' | 'onEvent'>;
  readonly seed: number;
  /** Computes for all workers, one after another. */
  readonly backend: Backend;
  readonly workers: number;
  /** Mean virtual time between two joins, deaths or freezes; infinite for none. */
  readonly faultEveryMs: number;
  /** Chance, 0 to 1, that a single result is corrupt. */
  readonly corruptResults: number;
  /** Workers at the start, beside the honest ones, that lie in this way. */
  readonly liars?: readonly Lie[];
  /** Bandwidth of every link; drawn for each where left out. */
  readonly bytesPerMs?: number;
  /** Lets promises that are ready run on; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Virtual time after which the run counts as hung. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  readonly state: CoordinatorState;
  readonly events: readonly RunEvent[];
  readonly virtualMs: number;
}

export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { workers, faultEveryMs, drain, limitMs } = options;
  const simulator = new Simulator(options);
  for (let worker = 0; worker < workers; worker++) simulator.join();
  for (const lie of options.liars ?? []) simulator.join(lie);
  if (Number.isFinite(faultEveryMs)) simulator.scheduleFault(faultEveryMs);

  let outcome: RunOutcome | undefined;
  void simulator.run.outcome.then((value) => {
    outcome = value;
  });
  const { clock, run, events } = simulator;
  while (outcome === undefined && clock.nowMs() < limitMs) {
    await drain();
    if (!clock.step()) break;
  }
  await drain();
  return { outcome: outcome ?? { type: 'hung' }, state: run.state, events, virtualMs: clock.nowMs() };
}

/** The coordinator's run, its workers, and the seeded choices of what happens to them. */
class Simulator {
  readonly clock = new VirtualClock();
  readonly events: RunEvent[] = [];
  readonly run: Run;
  readonly #options: SimulationOptions;
  readonly #workers: SimulatedWorker[] = [];
  /** Uniform in [0, 1). */
  readonly #chance: () => number;
  #resumeKeys = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#chance = randomStream(options.seed);
    this.run = new Run({
      ...options.run,
      clock: this.clock,
      newResumeKey: () => `key-${++this.#resumeKeys}`,
      onEvent: (event) => this.events.push(event),
    });
  }

  /** A worker of its own speed, on a link of its own. */
  join(lie?: Lie): void {
    const { backend, run, corruptResults } = this.#options;
    const samplesPerMs = 1 + 30 * this.#chance();
    const { latencyMs, bytesPerMs } = this.#link();
    const worker = new SimulatedWorker({
      name: `worker ${this.#workers.length + 1}`,
      run: this.run,
      clock: this.clock,
      compute: createLocalCompute(backend, this.clock),
      checksum: run.checksum,
      hash: run.hash,
      computeMs: (samples) => (samples / samplesPerMs) * (0.8 + 0.4 * this.#chance()),
      link: { latencyMs, bytesPerMs },
      // Most real workers cache samples; some have no memory for it.
      sampleCacheBytes: this.#chance() < 0.7 ? Number.MAX_SAFE_INTEGER : 0,
      lie,
      address: `10.0.0.${this.#workers.length + 1}`,
      resultFault: () => (this.#chance() < corruptResults ? this.#pick(resultFaults) : undefined),
    });
    this.#workers.push(worker);
  }

  #link(): LinkSpeed {
    const { bytesPerMs } = this.#options;
    const latencyMs = 0.1 + 20 * this.#chance();
    return { latencyMs, bytesPerMs: bytesPerMs ?? 1_000 + 100_000 * this.#chance() };
  }

  /** Joins, kills or freezes a worker at exponentially distributed intervals. */
  scheduleFault(meanMs: number): void {
    this.clock.after(-meanMs * Math.log(1 - this.#chance()), () => {
      this.#injectFault();
      this.scheduleFault(meanMs);
    });
  }

  #injectFault(): void {
    const worker = this.#pick(this.#workers.filter(({ ended }) => !ended));
    const roll = this.#chance();
    if (!worker || roll < 0.4) this.join();
    else if (roll < 0.7) worker.kill();
    else worker.freeze(20_000 * this.#chance() ** 2);
  }

  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#chance() * items.length)];
  }
}

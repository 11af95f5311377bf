/** Whole runs in virtual time, with joins, deaths, freezes and faulty results drawn from a seed. */

import type { Backend } from '@lockstep/tensor';
import type { RunEvent } from '../coordinator/events.ts';
import { type RunOptions, type RunOutcome, startRun } from '../coordinator/run.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import { xorshift32 } from '../random.ts';
import { createLocalCompute } from '../worker/local-compute.ts';
import { type Mishap, type SimulatedWorker, startSimulatedWorker } from './simulated-worker.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface SimulationOptions {
  /** Everything of a run that does not come from the simulation. */
  readonly run: Omit<RunOptions, 'clock' | 'newResumeKey' | 'onNotice'>;
  readonly seed: number;
  /** A backend for the workers' arithmetic; they take turns on it. */
  readonly backend: Backend;
  /** Workers there at the start. */
  readonly workers: number;
  /** Mean virtual time between two mishaps of the whole room; infinite for none. */
  readonly mishapEveryMs: number;
  /** Chance, 0 to 1, that a single result is spoilt. */
  readonly spoiltResults: number;
  /** Lets promises that are ready run on; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Fails the simulation when so much virtual time has passed: something hangs. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  readonly state: CoordinatorState;
  readonly events: readonly RunEvent[];
  readonly virtualMs: number;
}

export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { seed, backend } = options;
  const clock = new VirtualClock();
  const random = xorshift32(seed);
  const chance = (): number => random() / 2 ** 32;
  const events: RunEvent[] = [];
  let keys = 0;
  const run = startRun({
    ...options.run,
    clock,
    newResumeKey: () => `key-${++keys}`,
    onEvent: (event) => events.push(event),
  });
  let outcome: RunOutcome | undefined;
  void run.outcome.then((value) => {
    outcome = value;
  });

  const workers: SimulatedWorker[] = [];
  const join = (): void => {
    const samplesPerMs = 1 + 30 * chance();
    const latencyMs = 0.1 + 20 * chance();
    const bytesPerMs = 1_000 + 100_000 * chance();
    workers.push(
      startSimulatedWorker({
        name: `worker ${workers.length + 1}`,
        run,
        clock,
        compute: createLocalCompute(backend, clock),
        checksum: options.run.checksum,
        hash: options.run.hash,
        computeMs: (samples) => (samples / samplesPerMs) * (0.8 + 0.4 * chance()),
        transitMs: (bytes) => latencyMs + bytes / bytesPerMs,
        // Some keep their samples, as most real ones do, and some have no room for them.
        keepBytes: chance() < 0.7 ? Number.MAX_SAFE_INTEGER : 0,
        mishap: () => (chance() < options.spoiltResults ? (pick(mishaps, chance()) ?? 'none') : 'none'),
      }),
    );
  };
  for (let worker = 0; worker < options.workers; worker++) join();

  const strike = (): void => {
    const alive = workers.filter((worker) => !worker.ended);
    const victim = pick(alive, chance());
    const roll = chance();
    if (!victim || roll < 0.4) join();
    else if (roll < 0.7) victim.kill();
    else victim.freeze(20_000 * chance() ** 2);
    if (outcome === undefined) clock.after(-options.mishapEveryMs * Math.log(1 - chance()), strike);
  };
  if (Number.isFinite(options.mishapEveryMs)) clock.after(options.mishapEveryMs, strike);

  while (outcome === undefined && clock.nowMs() < options.limitMs) {
    await options.drain();
    if (!clock.step()) break;
  }
  await options.drain();
  return { outcome: outcome ?? { type: 'hung' }, state: run.state, events, virtualMs: clock.nowMs() };
}

const mishaps: readonly Mishap[] = ['wrong-bytes', 'not-finite', 'device-lost'];

function pick<Item>(items: readonly Item[], fraction: number): Item | undefined {
  return items[Math.floor(fraction * items.length)];
}

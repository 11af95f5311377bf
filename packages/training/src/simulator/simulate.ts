/** Whole runs in virtual time, with faults of every kind at moments drawn from a seed. */

import type { Backend } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import type { RunEvent } from '../coordinator/events.ts';
import type { RunOutcome } from '../coordinator/run-options.ts';
import type { CoordinatorState } from '../coordinator/state.ts';
import type { Entry } from './chronicle.ts';
import type { FaultKind } from './faults.ts';
import type { SampleLedger } from './ledgers.ts';
import type { LiarHabit, Lie } from './lies.ts';
import type { Problem, RunParts } from './problem.ts';
import type { SimulatedFleet } from './simulated-fleet.ts';
import { Simulator } from './simulator.ts';

export interface SimulationOptions {
  /** Everything of a run that does not come from the simulation. */
  readonly run: RunParts;
  /** Counts the run's samples, where they are to be counted. */
  readonly ledger?: SampleLedger;
  /** Makes the run anew after a crash of the coordinator. */
  readonly resume?: Problem['resume'];
  /** Coordinators that take turns at the run, and what they have in common; one with a disk where left out. */
  readonly fleet?: { readonly coordinators: number; readonly open: (clock: Clock) => SimulatedFleet };
  readonly seed: number;
  /** Computes for all workers, one after another. */
  readonly backend: Backend;
  /** Relays of each level, the topmost first; workers join the coordinator itself where left out. */
  readonly relays?: readonly number[] | undefined;
  /** Honest workers at the start. */
  readonly workers: number;
  /** Honest workers at the start, beside those, that stand still for 90 % of each period of so many milliseconds. */
  readonly stutterEveryMs?: readonly number[];
  /** No more are started beside so many; any number where left out. */
  readonly mostWorkers?: number;
  /** Mean virtual time between two faults; infinite for none. */
  readonly faultEveryMs: number;
  /** Nothing happens before; from the beginning where left out. */
  readonly faultsFromMs?: number | undefined;
  /** What may happen; workers join, are killed and freeze where left out. */
  readonly faults?: readonly FaultKind[];
  /** From then on nothing happens any more, and one worker that stays has joined. */
  readonly calmAtMs?: number;
  /** Chance, 0 to 1, that a single result of an honest worker is corrupt. */
  readonly corruptResults: number;
  /** Workers at the start, beside the honest ones, that lie in this way. */
  readonly liars?: readonly Lie[];
  readonly liarHabit?: LiarHabit | undefined;
  /** Whether liars leave after each result, and join as new workers. */
  readonly liarsJoinAnew?: boolean;
  /** Chance, 0 to 1, that a worker has another numeric mode than the coordinator. */
  readonly otherModes?: number;
  /** Bandwidth of every link; drawn for each where left out. */
  readonly bytesPerMs?: number;
  /** Whether messages travel as encoded frames. */
  readonly encodes?: boolean;
  /** Microbatches a millisecond that coordinators compute themselves; they compute none where left out. */
  readonly colocated?: number | undefined;
  /** Steps between two checkpoints; none is written where left out. */
  readonly checkpointEvery?: number;
  /** Lets promises that are ready run on; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Virtual time after which the run counts as hung. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  /** Of the coordinator that ended the run, and of all lives of coordinators that did not. */
  readonly state: CoordinatorState;
  readonly others: readonly CoordinatorState[];
  /** Of all runs of relays. */
  readonly relays: readonly CoordinatorState[];
  /** The first step after which two lives had other weights, in words; of such a run with one numeric mode and no lie. */
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
  /** Names of those that have sent a right result, and may have been taken for honest workers. */
  readonly sleepers: readonly string[];
  /** Names of honest workers whose results were corrupt. */
  readonly corrupt: readonly string[];
  /** Names of the workers that were quarantined. */
  readonly quarantined: readonly string[];
  /** The first rule that did not hold after an event, in words. */
  readonly fault: string | undefined;
  readonly virtualMs: number;
}

/** How long workers are watched after a run that another one may follow. */
const afterRunMs = 3_000;

export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { drain, limitMs } = options;
  const simulator = new Simulator(options);
  simulator.begin();
  const { clock } = simulator;
  let fault: string | undefined;
  await drain();
  while (simulator.outcome === undefined && fault === undefined && clock.nowMs() < limitMs) {
    try {
      if (!clock.step()) break;
    } catch (error) {
      fault = `a coordinator threw: ${error instanceof Error ? error.message : String(error)}`;
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

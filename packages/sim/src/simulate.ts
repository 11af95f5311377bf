/** Simulates whole runs in virtual time, with faults of every kind at times drawn from a seed. */

import type { Clock } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent } from '@lockstep/rules';
import type { Backend } from '@lockstep/tensor';
import type { RunOutcome } from '@lockstep/train/internal';
import type { Entry } from './chronicle.ts';
import type { FaultKind } from './faults.ts';
import type { SampleLedger } from './ledgers.ts';
import type { LiarHabit, Lie } from './lies.ts';
import type { Problem, RunParts } from './problem.ts';
import type { SimulatedFleet } from './simulated-fleet.ts';
import { Simulator } from './simulator.ts';

export interface SimulationOptions {
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
  /** Microbatches per millisecond that coordinators compute themselves; none by default. */
  readonly colocated?: number | undefined;
  /** Steps between two checkpoints; none is written by default. */
  readonly checkpointEvery?: number;
  /** Lets ready promises run; called after every virtual event. */
  readonly drain: () => Promise<void>;
  /** Virtual time after which the run counts as hung. */
  readonly limitMs: number;
}

export interface Simulation {
  readonly outcome: RunOutcome | { readonly type: 'hung' };
  /** State of the coordinator that ended the run; `others` are the states of all other lives of coordinators. */
  readonly state: CoordinatorState;
  readonly others: readonly CoordinatorState[];
  /** States of all runs of relays. */
  readonly relays: readonly CoordinatorState[];
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
  /** Names of liars that have sent a correct result, and may have been taken for honest workers. */
  readonly sleepers: readonly string[];
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

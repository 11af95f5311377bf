/** Runs with one to three liars that begin to lie at random steps, after any number of right results. */
import { exactnessOf } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import { expect } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { runFault } from '../src/run-fault.ts';
import { simulate } from '../src/simulate.ts';
import { type Lie, lies as lieTable } from '../src/simulated-worker.ts';
import { createProblem } from './support.ts';

const lies = Object.keys(lieTable) as Lie[];

export interface LiarRun {
  /** The broken promise; undefined if all were kept. */
  readonly fault: string | undefined;
  /** Whether every liar whose results were added was caught. */
  readonly isCaught: boolean;
  /** Whether the weights are those of the oracle, to the bit. */
  readonly isOracle: boolean;
  readonly exactness: string | null;
  /** Steps of the run, and those that were taken again. */
  readonly steps: number;
  readonly again: number;
  readonly rewinds: number;
}

/** Plays the run of a seed. @param kinds the lies to draw from; all by default */
export async function playLiars(seed: number, kinds: readonly Lie[] = lies): Promise<LiarRun> {
  const chance = randomStream(seed * 7_919 + 1);
  const between = (least: number, most: number): number => least + Math.floor((most - least + 1) * chance());
  const backend = await hostBackend();
  const isAlike = chance() < 0.3;
  const first = kinds[seed % kinds.length]!;
  const liars = Array.from({ length: between(1, 3) }, (_, index) =>
    isAlike || index === 0 ? first : kinds[between(0, kinds.length - 1)]!,
  );
  const verifyRate = [0.02, 0.1, 0.25][between(0, 2)]!;
  const problem = await createProblem(backend, {
    ...{ seed, samples: 64, batch: 32, microbatchSize: 2, epochs: between(20, 60), verifyRate },
    keptStates: between(0, 6),
  });
  const habit = { lateMs: 0, boasts: chance() < 0.3, isRelay: false, isFirst: chance() < 0.3 };
  const simulation = await simulate({
    ...{ run: problem.run, ledger: problem.ledger, backend, drain, seed, liars, limitMs: 3_600_000 },
    ...{ workers: between(1, 3), mostWorkers: 6, corruptResults: 0 },
    faultEveryMs: chance() < 0.3 ? 400 : Number.POSITIVE_INFINITY,
    liarHabit: { ...habit, honestResults: between(0, 60) },
    liarsJoinAnew: chance() < 0.1,
  });
  const { state, weights, liars: names } = simulation;
  const expected = problem.expected();
  const remaining = [...state.records.values()].filter(
    ({ name, uncheckedFrom }) => names.includes(name) && uncheckedFrom !== undefined,
  );
  return {
    fault: runFault(problem, simulation),
    isCaught: remaining.length === 0,
    isOracle: weights.every((value, index) => Object.is(value, expected[index])),
    exactness: exactnessOf(state),
    steps: problem.setup.plan.steps,
    again: state.rewinds.reduce((sum, { from, to }) => sum + from - to, 0),
    rewinds: state.rewinds.length,
  };
}

/** Plays six runs in which liars tell one kind of lie; at least one is caught, and none changes a bit. */
export async function expectTimeOnly(lie: Lie): Promise<void> {
  let caught = 0;
  for (let seed = 1; seed <= 6; seed++) {
    const { fault, isCaught, isOracle, exactness } = await playLiars(seed, [lie]);
    expect(fault, `seed ${seed}`).toBeUndefined();
    if (!isCaught) continue;
    caught += 1;
    expect([isOracle, exactness], `seed ${seed}`).toEqual([true, 'bit-exact']);
  }
  expect(caught).toBeGreaterThan(0);
}

/** Checks whether a finished simulated run kept its promises. */

import type { WorkerRecord } from '@lockstep/rules';
import { exactnessOf } from '@lockstep/rules';
import type { Problem } from './problem.ts';
import type { Simulation } from './simulate.ts';

/** Describes the first promise that was not kept; undefined if all were. */
export function runFault(problem: Problem, simulation: Simulation): string | undefined {
  const { fault, outcome, state, quarantined, liars, corrupt } = simulation;
  if (fault !== undefined) return fault;
  if (outcome.type === 'hung') return `hung in phase ${state.phase} at step ${state.current.step + 1}`;
  // Unverified results of a liar may make the training diverge.
  if (outcome.type === 'failed') return hasLies(problem, simulation) ? undefined : `failed: ${outcome.message}`;
  // A lie that a relay has added makes the relay's sum wrong.
  const isMisled = (name: string): boolean => name.startsWith('relay ') && hasLies(problem, simulation);
  const wronged = quarantined.find((name) => !liars.includes(name) && !corrupt.includes(name) && !isMisled(name));
  if (wronged !== undefined) return `${wronged} is quarantined, and honest`;
  return (
    uncomparedLie(problem, simulation) ??
    numericsRefusal(simulation) ??
    relayRejection(problem, simulation) ??
    liarFault(problem, simulation) ??
    weightsFault(problem, simulation)
  );
}

/** Every worker, liars included, computes the numerics check correctly, so only a damaged frame may be refused. */
function numericsRefusal({ chronicle, met }: Simulation): string | undefined {
  if (met.damage > 0) return undefined;
  for (const { happening, name } of chronicle) {
    const isRefusal = happening.type === 'rejected' && happening.message.startsWith('numerics check');
    if (isRefusal) return `${name ?? 'a worker'} is refused, and computes rightly: ${happening.message}`;
  }
  return undefined;
}

/** No fault makes a relay send wrong results or fail at a task, but a liar behind it may make training diverge. */
function relayRejection(problem: Problem, simulation: Simulation): string | undefined {
  if (hasLies(problem, simulation)) return undefined;
  for (const { happening, name = '' } of simulation.chronicle) {
    if (happening.type === 'rejected' && name.startsWith('relay ')) return `${name} is rejected: ${happening.message}`;
  }
  return undefined;
}

/** Returns the records of liars with added results, in any life of a coordinator or relay. */
function liarRecords({ state, others, relays, liars }: Simulation): WorkerRecord[] {
  const records = [...others, state, ...relays].flatMap((life) => [...life.records.values()]);
  return records.filter(({ name, shards }) => shards > 0 && liars.includes(name));
}

/** Lies that the rounding of nodes may hide. */
const fineLies: readonly (string | undefined)[] = ['one-bit', 'scaled'];

/** Only a correct result proves a worker: before it sends one, none of its results is added, at any verify rate. */
function uncomparedLie({ setup }: Problem, simulation: Simulation): string | undefined {
  const { sleepers, lies } = simulation;
  const isFine = setup.plan.halfUnit !== undefined && lies.some((lie) => fineLies.includes(lie));
  if (isFine) return undefined;
  const added = liarRecords(simulation).find(({ name }) => !sleepers.includes(name));
  return added && `${added.shards} results of the liar ${added.name} were added, and it has sent none that was right`;
}

/** Whether the weights may contain unverified results of a liar. */
function hasLies({ setup }: Pick<Problem, 'setup'>, simulation: Simulation): boolean {
  return setup.verifyRate !== 1 && liarRecords(simulation).length > 0;
}

/** Probability that a liar is overlooked for longer than `mostUnfound`. */
const overlooked = 1e-9;

/** Returns how many results of a liar may be added before one of them is verified. */
function mostUnfound(verifyRate: number): number {
  return verifyRate === 0 ? Number.POSITIVE_INFINITY : Math.ceil(Math.log(overlooked) / Math.log(1 - verifyRate));
}

/**
 * Describes a liar with more added results than the verify rate allows, or with any in a run that calls itself exact.
 */
function liarFault({ setup }: Problem, simulation: Simulation): string | undefined {
  const { verifyRate = 0 } = setup;
  if (verifyRate === 1) return undefined;
  const unfound = liarRecords(simulation).find(({ shards }) => shards > mostUnfound(verifyRate));
  if (unfound) return `${unfound.shards} results of the liar ${unfound.name} were added`;
  const { state, liars } = simulation;
  const isFound = [...state.records.values()].some(
    ({ name, shards, quarantined }) => shards > 0 && quarantined !== undefined && liars.includes(name),
  );
  const exactness = exactnessOf(state);
  return isFound && exactness !== 'unverified'
    ? `a liar contributed, and the run calls itself ${exactness}`
    : undefined;
}

/** Largest difference between runs of several numeric modes, relative to the largest weight. */
const tolerance = 1e-3;

/** Compares the weights with the oracle's: to the bit for one numeric mode or rounded nodes, else within rounding. */
function weightsFault({ setup, expected: expectedOf }: Problem, simulation: Simulation): string | undefined {
  const { state, others, weights, divided } = simulation;
  if (hasLies({ setup }, simulation)) return undefined;
  const contributions = [...others, state].flatMap(({ contributed }) => contributed);
  const contributed = new Set(contributions.map(({ numericsHash }) => numericsHash));
  const isOwnMode = setup.refereeHash === undefined || contributed.has(setup.refereeHash);
  const isExact = contributed.size <= 1 || setup.plan.halfUnit !== undefined;
  const isNudged = contributed.size > 0 && !isOwnMode && setup.plan.halfUnit === undefined;
  const expected = expectedOf(isNudged ? 'nudged' : 'exact');
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const isSame = (value: number, index: number): boolean =>
    isExact ? Object.is(value, expected[index]) : Math.abs(value - expected[index]!) <= tolerance * largest;
  const differing = weights.findIndex((value, index) => !isSame(value, index));
  if (differing >= 0) return `weight ${differing}: expected ${expected[differing]}, got ${weights[differing]}`;
  return isExact ? divided : undefined;
}

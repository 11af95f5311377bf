/** Checks whether a finished simulated run kept its promises. */

import { type CoordinatorState, exactnessOf, type WorkerRecord } from '@lockstep/rules';
import type { Problem } from './problem.ts';
import type { Simulation } from './simulate.ts';
import { fineLies } from './simulated-worker.ts';

/** Describes the first promise that was not kept; undefined if all were. */
export function runFault(problem: Problem, simulation: Simulation): string | undefined {
  const { fault, outcome, state, quarantined, liars, corrupt } = simulation;
  if (fault !== undefined) return fault;
  if (outcome.type === 'hung') return `hung in phase ${state.phase} at step ${state.current.step + 1}`;
  // Unverified results of a liar may make the training diverge.
  if (outcome.type === 'failed') return hasLies(problem, simulation) ? undefined : `failed: ${outcome.message}`;
  const misled = problem.setup.verifyRate === 1 ? new Set<string>() : misledRelays(simulation);
  const wronged = quarantined.find((name) => !liars.includes(name) && !corrupt.includes(name) && !misled.has(name));
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

/**
 * Returns the relays that have added a liar's result, or the sum of such a relay: it makes their own sums wrong, also
 * those of an earlier life, or from before the relay found the liar.
 */
function misledRelays({ relays, liars }: Simulation): ReadonlySet<string> {
  const misled = new Set<string>();
  const misleads = ({ name, shards }: WorkerRecord): boolean =>
    shards > 0 && (liars.includes(name) || misled.has(name));
  for (let before = -1; before < misled.size; ) {
    before = misled.size;
    for (const [name, lives] of relays) if (recordsOf(lives).some(misleads)) misled.add(name);
  }
  return misled;
}

function livesOfRelays({ relays }: Simulation): CoordinatorState[] {
  return [...relays.values()].flat();
}

function recordsOf(lives: readonly CoordinatorState[]): WorkerRecord[] {
  return lives.flatMap(({ records }) => [...records.values()]);
}

/** Returns the records of liars with added results, in any life of a coordinator or relay. */
function liarRecords(simulation: Simulation): WorkerRecord[] {
  const { state, others, liars } = simulation;
  const records = recordsOf([...others, state, ...livesOfRelays(simulation)]);
  return records.filter(({ name, shards }) => shards > 0 && liars.includes(name));
}

/** Returns the records of liars whose unchecked results are in the weights of a life, or in sums of a relay. */
function lyingRecords(lives: readonly CoordinatorState[], liars: readonly string[]): WorkerRecord[] {
  return recordsOf(lives).filter(({ name, uncheckedFrom }) => uncheckedFrom !== undefined && liars.includes(name));
}

/** Whether wrong results may be right once they are rounded. */
function mayBeRounded({ setup }: Problem, { lies }: Simulation): boolean {
  return setup.plan.halfUnit !== undefined && lies.some((lie) => fineLies.includes(lie));
}

/** Only a correct result proves a worker: before it sends one, none of its results is added, at any verify rate. */
function uncomparedLie(problem: Problem, simulation: Simulation): string | undefined {
  const { told, lies } = simulation;
  // Without any checks, a liar that is proven may prove others.
  const isUnchecked = problem.setup.verifyRate === 0 && lies.length > 1;
  if (isUnchecked || mayBeRounded(problem, simulation)) return undefined;
  const added = liarRecords(simulation).find(({ name }) => told.get(name)?.right === 0);
  return added && `${added.shards} results of the liar ${added.name} were added, and it has sent none that was right`;
}

/** Whether the weights may contain wrong results, because their liar was not found. */
function hasLies({ setup }: Pick<Problem, 'setup'>, simulation: Simulation): boolean {
  const { state, liars } = simulation;
  const lives = [state, ...livesOfRelays(simulation)];
  return setup.verifyRate !== 1 && (state.isTainted || lyingRecords(lives, liars).length > 0);
}

/** Probability that a liar is overlooked for longer than `mostAdded`. */
const overlooked = 1e-9;

/** Returns how many results of a liar may be added, of which `right` are right, before one of the others is checked. */
function mostAdded(verifyRate: number, right: number): number {
  // Each result that the coordinator confirms halves the rate of its checks.
  const rate = Math.max(verifyRate, 2 ** -right);
  return verifyRate === 0 ? Number.POSITIVE_INFINITY : right + Math.ceil(Math.log(overlooked) / Math.log(1 - rate));
}

/** Describes a liar with more added results than its checks allow, or a false claim about one that was found. */
function liarFault(problem: Problem, simulation: Simulation): string | undefined {
  const { verifyRate = 0 } = problem.setup;
  const { state, others, told } = simulation;
  if (verifyRate === 1) return undefined;
  const unfound = liarRecords(simulation).find(
    ({ name, shards }) => shards > mostAdded(verifyRate, told.get(name)?.right ?? 0),
  );
  if (unfound && !mayBeRounded(problem, simulation))
    return `${unfound.shards} results of the liar ${unfound.name} were added`;
  const exactness = exactnessOf(state);
  // A process that began with the run can go back to any step.
  const isOnlyLife = others.length + livesOfRelays(simulation).length === 0;
  if (isOnlyLife && state.isTainted) return 'a liar was found, and the run did not go back';
  const kept = exactness === 'unverified' ? undefined : earlierResults(simulation);
  return kept && `results of ${kept.name} from before it was found count, and the run calls itself ${exactness}`;
}

/** Returns the record of a liar whose unchecked results count, though a later worker at its address was found. */
function earlierResults({ state, liars }: Simulation): WorkerRecord | undefined {
  const records = [...state.records.values()].filter(({ name }) => liars.includes(name));
  return records.find(({ name, uncheckedFrom, leftAtMs }, index) => {
    const later = records.slice(index).filter((other) => other.name === name && other.quarantined !== undefined);
    return uncheckedFrom !== undefined && leftAtMs !== undefined && later.length > 0;
  });
}

/** Largest difference between runs of several numeric modes, relative to the largest weight. */
const tolerance = 1e-3;

/** Compares the weights with the oracle's: to the bit for one numeric mode or rounded nodes, else within rounding. */
function weightsFault({ setup, expected: expectedOf }: Problem, simulation: Simulation): string | undefined {
  const { state, others, weights, divided, liars } = simulation;
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
  // Other lives may have ended before a liar was found.
  return isExact && lyingRecords(others, liars).length === 0 ? divided : undefined;
}

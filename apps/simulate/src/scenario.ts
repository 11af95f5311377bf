/** One simulated run: everything about it follows from its seed. */
import { createHash } from 'node:crypto';
import { type HostBackend, isHostBackend, openBackend, randomStream } from '@lockstep/tensor';
import type { Limits } from '@lockstep/training';
import {
  createProblem,
  type FaultKind,
  fleetFaults,
  type LiarHabit,
  type Lie,
  lies,
  type RunFaultKind,
  runFault,
  runFaults,
  type Simulation,
  simulate,
} from '@lockstep/training/simulator';

import { openSimulatedFleet } from './fleet-in-virtual-time.ts';
import { drawTree, type Forest, type Tree } from './tree.ts';

/** Virtual time after which a run counts as hung. */
const limitMs = 3_600_000;

const newHash = () => createHash('sha256');
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The plain-loop backend: every simulated worker computes on it. */
export async function openReference(): Promise<HostBackend> {
  const { backend } = await openBackend('reference');
  if (!isHostBackend(backend)) throw new Error('reference: expected a backend in memory that JavaScript sees');
  return backend;
}

export interface ScenarioResult {
  readonly simulation: Simulation;
  /** Which promise was broken, in words; undefined where all were kept. */
  readonly fault: string | undefined;
  /** The scenario in words. */
  readonly description: string;
}

export interface ScenarioOptions {
  /** Whether all workers are honest and compute rightly, whatever the seed says. */
  readonly honest?: boolean;
  /** How many relays there are: in one run of six a few where left out. */
  readonly relays?: Forest;
  /** How many workers are behind relays in each run; drawn where left out. */
  readonly workers?: number;
  /** Whether nodes are rounded in a run that half of the workers would compute in another numeric mode; drawn by default. */
  readonly mixed?: boolean;
}

export async function runScenario(
  backend: HostBackend,
  seed: number,
  { honest = false, relays = 'sometimes', workers, mixed = false }: ScenarioOptions = {},
): Promise<ScenarioResult> {
  const drawn = withRelays(withModes(drawScenario(seed), mixed), drawTree(seed, relays, workers));
  const scenario = {
    ...drawn,
    ...(honest && { liars: [], corruptResults: 0 }),
    // Behind narrow links a coordinator that computes does without them.
    ...(workers !== undefined && { colocated: undefined }),
  };
  const problem = await createProblem(backend, newHash, { seed, ...scenario.problem });
  const { run, ledger, resume } = problem;
  const fleet =
    scenario.coordinators > 1 ? { coordinators: scenario.coordinators, open: openSimulatedFleet } : undefined;
  const simulation = await simulate({
    ...scenario,
    ...(fleet && { fleet }),
    run,
    ledger,
    resume,
    backend,
    seed,
    drain,
    limitMs,
  });
  return { simulation, fault: runFault(problem, simulation), description: describe(seed, scenario) };
}

type Scenario = ReturnType<typeof withRelays>;

/** Lies that another numeric mode's rounding cannot hide. */
const coarseLies: readonly Lie[] = ['sign', 'scaled', 'other-shard', 'loss', 'non-finite', 'no-answer'];

function drawScenario(seed: number) {
  const chance = randomStream(createHash('sha256').update(`${seed}`).digest().readUInt32LE());
  const between = (least: number, most: number): number => least + Math.floor((most - least + 1) * chance());
  const oneOf = <Item>(items: readonly Item[]): Item => items[Math.floor(chance() * items.length)]!;
  const isLying = chance() < 0.4;
  const otherModes = chance() < 0.25 ? 0.5 : 0;
  const drawn = (Object.keys(runFaults) as RunFaultKind[]).filter(() => chance() < (isLying ? 0.25 : 0.5));
  // Late honest workers give a liar its chances.
  const fleet = drawFleet(seed);
  const kinds: FaultKind[] = [...new Set<FaultKind>([isLying ? 'freeze' : 'join', ...drawn]), ...fleet.faults];
  const roundsToHalves = drawRounding(seed);
  const liarHabit = isLying ? drawHabit(seed) : undefined;
  const lie = oneOf(otherModes > 0 ? coarseLies : (Object.keys(lies) as Lie[]));
  return {
    problem: {
      samples: between(1, 90),
      batch: between(1, 40),
      microbatchSize: between(1, 9),
      epochs: (isLying ? between(6, 12) : between(1, 4)) + fleet.moreEpochs,
      verifyRate: oneOf(isLying ? [0, 0.25, 1, 1, 1] : [0, 0.25, 1]),
      ...drawTypes(seed),
      innerSteps: drawInnerSteps(seed),
      roundsToHalves,
      participation: drawParticipation(seed),
      anotherMayFollow: drawFollowing(seed),
      ...drawVectors(seed),
    },
    // Few honest workers beside a liar, so that it is asked often.
    workers: isLying ? 1 : between(1, 6),
    mostWorkers: isLying ? between(2, 3) : 7,
    faults: kinds,
    faultEveryMs: (isLying ? between(10, 60) : between(2, 40)) * 10,
    calmAtMs: between(10, 60) * 1_000,
    corruptResults: chance() < 0.3 ? 0.03 : 0,
    liars: isLying ? [lie] : [],
    liarHabit,
    // A late liar stays, since its first results are to prove it.
    liarsJoinAnew: chance() < 0.7 && !liarHabit?.lateMs,
    otherModes,
    encodes: kinds.includes('damage') || chance() < 0.2,
    checkpointEvery: between(1, 5),
    ...(chance() < 0.15 ? { bytesPerMs: between(1, 20) } : {}),
    coordinators: fleet.coordinators,
    colocated: drawColocated(seed),
    ...(fleet.coordinators > 1 ? { bytesPerMs: fleet.bytesPerMs } : {}),
  };
}

function withModes(scenario: ReturnType<typeof drawScenario>, isMixed: boolean) {
  if (!isMixed) return scenario;
  return { ...scenario, otherModes: 0.5, problem: { ...scenario.problem, roundsToHalves: true } };
}

/** The scenario behind a tree of relays: as many workers as it has, and steps for all. */
function withRelays(scenario: ReturnType<typeof drawScenario>, tree: Tree | undefined) {
  if (!tree) return { ...scenario, relays: undefined, faultsFromMs: undefined };
  const { relays, workers, faults: more, faultsFromMs, faultEveryMs = scenario.faultEveryMs, problem } = tree;
  const all = { ...scenario.problem, ...problem, limits: { ...scenario.problem.limits, ...problem.limits } };
  const faults = [...scenario.faults, ...more];
  return { ...scenario, relays, workers, mostWorkers: workers + 4, faults, faultEveryMs, faultsFromMs, problem: all };
}

/** Of a stream of its own, so that a seed's faults do not depend on what the data are. */
function drawTypes(seed: number) {
  const chance = randomStream(createHash('sha256').update(`data of ${seed}`).digest().readUInt32LE());
  const sampleType = chance() < 0.6 ? 'u8' : 'f32';
  const targetType = chance() < 0.6 ? 'classes' : 'values';
  return { sampleType, targetType } as const;
}

/** Of a stream of its own too: a fifth of the runs have a standby or two. Those last longer than a lease. */
function drawFleet(seed: number) {
  const chance = randomStream(createHash('sha256').update(`fleet of ${seed}`).digest().readUInt32LE());
  if (chance() < 0.8) return { coordinators: 1, faults: [], moreEpochs: 0, bytesPerMs: 0 };
  const kinds = Object.keys(fleetFaults) as FaultKind[];
  return {
    coordinators: chance() < 0.7 ? 2 : 3,
    faults: kinds.filter(() => chance() < 0.7),
    moreEpochs: 8,
    bytesPerMs: 0.5 + 4 * chance(),
  };
}

/** Of a stream of its own too: a quarter of the runs have replicas. */
function drawInnerSteps(seed: number) {
  const chance = randomStream(createHash('sha256').update(`inner steps of ${seed}`).digest().readUInt32LE());
  if (chance() < 0.75) return undefined;
  return { batch: 1 + Math.floor(4 * chance()), learningRate: 0.05, momentum: chance() < 0.3 ? 0 : 0.9 };
}

/** Of a stream of its own too: in a quarter of the runs the coordinator computes as well, no faster than most workers. */
function drawColocated(seed: number): number | undefined {
  const chance = randomStream(createHash('sha256').update(`colocated of ${seed}`).digest().readUInt32LE());
  return chance() < 0.75 ? undefined : 0.05 + chance();
}

/** Drawn from a stream of its own too: two thirds of the liars answer when others have, half boast, some are there first. */
function drawHabit(seed: number): LiarHabit {
  const chance = randomStream(createHash('sha256').update(`habit of ${seed}`).digest().readUInt32LE());
  return {
    lateMs: chance() < 1 / 3 ? 0 : 200 * chance(),
    boasts: chance() < 0.5,
    isRelay: chance() < 0.2,
    isFirst: chance() < 0.3,
  };
}

/** Of a stream of its own too: half of the runs round every node of the tree. */
function drawRounding(seed: number): boolean {
  const chance = randomStream(createHash('sha256').update(`rounding of ${seed}`).digest().readUInt32LE());
  return chance() >= 0.5;
}

/** Of a stream of its own too: in half of the runs workers without a share take turns. */
function drawParticipation(seed: number): 'rotation' | 'fastest' {
  const chance = randomStream(createHash('sha256').update(`participation of ${seed}`).digest().readUInt32LE());
  return chance() < 0.5 ? 'rotation' : 'fastest';
}

/** Of a stream of its own too: in a quarter of the runs workers are to wait for another one at the end. */
function drawFollowing(seed: number): boolean {
  const chance = randomStream(createHash('sha256').update(`following of ${seed}`).digest().readUInt32LE());
  return chance() < 0.25;
}

/** Drawn from a stream of its own too: in half of the runs a vector is three messages, else one. */
function drawVectors(seed: number): { readonly limits: Partial<Limits> } {
  const chance = randomStream(createHash('sha256').update(`chunks of ${seed}`).digest().readUInt32LE());
  return { limits: chance() < 0.5 ? { chunkBytes: 64 } : {} };
}

function describe(seed: number, scenario: Scenario): string {
  const { problem, workers, relays, coordinators, faultEveryMs, corruptResults, liars, otherModes, bytesPerMs } =
    scenario;
  const { lateMs = 0, boasts, isRelay, isFirst } = scenario.liarHabit ?? {};
  const habits = [
    lateMs > 0 && `${Math.round(lateMs)} ms late`,
    boasts && 'boasts',
    isRelay && 'as a relay',
    isFirst && 'first',
  ];
  const { samples, batch, microbatchSize, innerSteps, roundsToHalves, participation, epochs } = problem;
  const { verifyRate, sampleType, targetType } = problem;
  const parts = [
    `${epochs} epochs of ${samples} ${sampleType} samples with ${targetType}, batch ${batch}, microbatches of ${microbatchSize}`,
    ...(innerSteps ? [`inner steps of ${innerSteps.batch} samples`] : []),
    ...(roundsToHalves ? ['nodes rounded to halves'] : []),
    `${workers} workers at the start`,
    ...(scenario.colocated ? ['the coordinator computes too'] : []),
    ...(participation === 'rotation' ? ['all take part'] : []),
    ...liars.map((lie) => `one that lies (${[lie, ...habits].filter(Boolean).join(', ')})`),
    `${100 * verifyRate} % of the shards are verified`,
    ...(otherModes > 0 ? ['two numeric modes'] : []),
    ...(relays ? [`relays: ${relays.join(' above ')}`] : []),
    ...(coordinators > 1 ? [`${coordinators} coordinators`] : []),
    ...(bytesPerMs === undefined ? [] : [`links of ${bytesPerMs} bytes/ms`]),
    ...(corruptResults > 0 ? [`${100 * corruptResults} % corrupt results`] : []),
    `a checkpoint every ${scenario.checkpointEvery} steps`,
    `a fault about every ${faultEveryMs} ms (${scenario.faults.join(', ')})`,
  ];
  return `seed ${seed}: ${parts.join('; ')}`;
}

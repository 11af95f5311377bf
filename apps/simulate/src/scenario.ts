/** One simulated run, determined entirely by its seed. */
import { createHash } from 'node:crypto';
import type { Limits } from '@lockstep/rules';
import {
  createProblem,
  type EarlyStop,
  type FaultKind,
  fleetFaults,
  type LiarHabit,
  type Lie,
  lies,
  type ProblemOptions,
  type RunFaultKind,
  relayFaults,
  runFault,
  runFaults,
  type Simulation,
  sampleFields,
  simulate,
  targetFields,
} from '@lockstep/sim';
import { type HostBackend, isHostBackend, openBackend, randomStream } from '@lockstep/tensor';
import { openSimulatedFleet } from './simulated-fleet.ts';

/** Virtual time after which a run counts as hung. */
const limitMs = 3_600_000;

const newHash = () => createHash('sha256');
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Opens the plain-loop backend, on which every simulated worker computes. */
export async function openReference(): Promise<HostBackend> {
  const { backend } = await openBackend('reference');
  if (!isHostBackend(backend)) throw new Error('reference: expected a backend in memory that JavaScript sees');
  return backend;
}

interface ScenarioResult {
  readonly simulation: Simulation;
  /** Describes the broken promise; undefined if all were kept. */
  readonly fault: string | undefined;
  /** The scenario in words. */
  readonly description: string;
}

export interface ScenarioOptions {
  /** Whether all workers are honest and compute correctly, whatever the seed draws. */
  readonly honest?: boolean;
  /** Number of relays; by default a few, in one run of six. */
  readonly relays?: Forest;
  /** Workers behind relays in each run; drawn by default. */
  readonly workers?: number;
  /** Forces liars, most of them honest at first, in runs long enough to catch them; drawn by default. */
  readonly lying?: boolean;
  /** Forces a run that rounds nodes and in which half of the workers have another numeric mode; drawn by default. */
  readonly mixed?: boolean;
}

export async function runScenario(
  backend: HostBackend,
  seed: number,
  { honest = false, relays = 'sometimes', workers, mixed = false, lying = false }: ScenarioOptions = {},
): Promise<ScenarioResult> {
  const asked = withLiars(withModes(drawScenario(seed), mixed), lying ? seed : undefined);
  const tree = drawTree(seed, relays, workers);
  // Liars that are honest at first need time.
  const drawn = withRelays(asked, tree && lying ? { ...tree, problem: { ...tree.problem, epochs: 30 } } : tree);
  const scenario = {
    ...drawn,
    ...(honest && { liars: [], corruptResults: 0 }),
    // On narrow links, a coordinator that computes itself would leave the workers idle.
    ...(workers !== undefined && { colocated: undefined }),
  };
  const earlyStop = drawEarlyStop(seed, scenario.problem.epochs ?? 1);
  const { lastEpoch } = earlyStop ?? {};
  const problem = await createProblem(backend, newHash, { seed, lastEpoch, ...scenario.problem });
  const { run, ledger, resume } = problem;
  const fleet =
    scenario.coordinators > 1 ? { coordinators: scenario.coordinators, open: openSimulatedFleet } : undefined;
  const simulation = await simulate({
    ...scenario,
    ...(fleet && { fleet }),
    earlyStop,
    run,
    ledger,
    resume,
    backend,
    seed,
    drain,
    limitMs,
  });
  return { simulation, fault: runFault(problem, simulation), description: describe(seed, scenario, earlyStop) };
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
  // Late honest workers give a liar opportunities.
  const fleet = drawFleet(seed);
  const kinds: FaultKind[] = [...new Set<FaultKind>([isLying ? 'freeze' : 'join', ...drawn]), ...fleet.faults];
  const liarHabit = isLying ? drawHabit(seed) : undefined;
  const lie = oneOf(otherModes > 0 ? coarseLies : (Object.keys(lies) as Lie[]));
  const liars = isLying ? [lie, ...drawAccomplices(seed, lie)] : [];
  return {
    problem: {
      samples: between(1, 90),
      batch: between(1, 40),
      microbatchSize: between(1, 9),
      epochs: (isLying ? between(6, 12) : between(1, 4)) + fleet.moreEpochs,
      verifyRate: oneOf(isLying ? [0, 0.02, 0.25, 0.25, 1] : [0, 0.25, 1]),
      keptStates: Math.floor(4 * streamOf(seed, 'kept states')()),
      ...drawFields(seed),
      innerSteps: drawInnerSteps(seed),
      roundsToHalves: streamOf(seed, 'rounding')() >= 0.5,
      participation: streamOf(seed, 'participation')() < 0.5 ? ('rotation' as const) : ('fastest' as const),
      anotherMayFollow: streamOf(seed, 'following')() < 0.25,
      // Chunks of which a vector takes three.
      limits: (streamOf(seed, 'chunks')() < 0.5 ? { chunkBytes: 64 } : {}) as Partial<Limits>,
    },
    // Few honest workers accompany a liar, so that it gets many shards.
    workers: isLying ? 1 : between(1, 6),
    mostWorkers: isLying ? between(2, 3) + liars.length - 1 : 7,
    faults: kinds,
    faultEveryMs: (isLying ? between(10, 60) : between(2, 40)) * 10,
    calmAtMs: between(10, 60) * 1_000,
    corruptResults: chance() < 0.3 ? 0.03 : 0,
    liars,
    liarHabit,
    // A liar whose first results are meant to prove it stays.
    liarsJoinAnew: chance() < 0.7 && !liarHabit?.lateMs && !liarHabit?.honestResults,
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

/** Adds one to three liars, most of which are honest at first. @param seed draws them; undefined for none */
function withLiars(scenario: ReturnType<typeof drawScenario>, seed: number | undefined) {
  if (seed === undefined) return scenario;
  const chance = streamOf(seed, 'liars');
  const between = (least: number, most: number): number => least + Math.floor((most - least + 1) * chance());
  const lie = pickLie(chance());
  const habit = { lateMs: 0, boasts: false, isRelay: chance() < 0.1, isFirst: chance() < 0.3 };
  const liars = [lie, ...drawAccomplices(seed, lie)];
  const workers = between(1, 3);
  return {
    ...scenario,
    problem: {
      ...scenario.problem,
      ...{ samples: between(20, 60), batch: between(10, 30), microbatchSize: between(1, 3), epochs: between(15, 40) },
      verifyRate: [0.02, 0.1, 0.25][between(0, 2)]!,
      keptStates: between(0, 4),
    },
    ...{ workers, mostWorkers: workers + liars.length + 1, corruptResults: 0, otherModes: 0, liars },
    ...{
      liarHabit: { ...habit, honestResults: Math.floor(30 * Math.max(0, 1.3 * chance() - 0.3) ** 2) },
      liarsJoinAnew: chance() < 0.1,
    },
    faultEveryMs: 10 * between(20, 200),
  };
}

/** Puts the scenario behind a tree of relays: takes over the tree's workers, with enough steps for all. */
function withRelays(scenario: ReturnType<typeof drawScenario>, tree: Tree | undefined) {
  if (!tree) return { ...scenario, relays: undefined, faultsFromMs: undefined };
  const { relays, workers, faults: more, faultsFromMs, faultEveryMs = scenario.faultEveryMs, problem } = tree;
  const all = { ...scenario.problem, ...problem, limits: { ...scenario.problem.limits, ...problem.limits } };
  const faults = [...scenario.faults, ...more];
  return { ...scenario, relays, workers, mostWorkers: workers + 4, faults, faultEveryMs, faultsFromMs, problem: all };
}

/** A random stream for one part of a scenario, so that a seed's faults do not depend on the other parts. */
function streamOf(seed: number, part: string): () => number {
  return randomStream(createHash('sha256').update(`${part} of ${seed}`).digest().readUInt32LE());
}

/** Draws the fields of the data. */
function drawFields(seed: number) {
  const chance = streamOf(seed, 'data');
  const sampleField = sampleFields[chance() < 0.6 ? 'u8' : 'f32'];
  const targets = chance();
  const targetField = targetFields[targets < 0.4 ? 'u16' : targets < 0.6 ? 'weighted' : 'f32'];
  return { sampleField, targetField };
}

/** Draws a fleet: a fifth of the runs have one or two standbys, and last longer than a lease. */
function drawFleet(seed: number) {
  const chance = streamOf(seed, 'fleet');
  if (chance() < 0.8) return { coordinators: 1, faults: [], moreEpochs: 0, bytesPerMs: 0 };
  const kinds = Object.keys(fleetFaults) as FaultKind[];
  return {
    coordinators: chance() < 0.7 ? 2 : 3,
    faults: kinds.filter(() => chance() < 0.7),
    moreEpochs: 8,
    bytesPerMs: 0.5 + 4 * chance(),
  };
}

/** Draws inner steps: a quarter of the runs have replicas. */
function drawInnerSteps(seed: number) {
  const chance = streamOf(seed, 'inner steps');
  if (chance() < 0.75) return undefined;
  return { batch: 1 + Math.floor(4 * chance()), learningRate: 0.05, momentum: chance() < 0.3 ? 0 : 0.9 };
}

/** In a quarter of the runs the coordinator computes too, no faster than most workers. */
function drawColocated(seed: number): number | undefined {
  const chance = streamOf(seed, 'colocated');
  return chance() < 0.75 ? undefined : 0.05 + chance();
}

/** Draws a liar's habit: two thirds answer after others, half boast, some join first. */
function drawHabit(seed: number): LiarHabit {
  const chance = streamOf(seed, 'habit');
  return {
    lateMs: chance() < 1 / 3 ? 0 : 200 * chance(),
    boasts: chance() < 0.5,
    isRelay: chance() < 0.2,
    isFirst: chance() < 0.3,
    honestResults: chance() < 0.4 ? 0 : Math.floor(30 * chance() ** 2),
  };
}

/** Draws further liars: a third of the runs with a liar have one or two more, who tell the same lie half of the time. */
function drawAccomplices(seed: number, lie: Lie): Lie[] {
  const chance = streamOf(seed, 'accomplices');
  if (chance() < 2 / 3) return [];
  const others = Array.from({ length: chance() < 0.5 ? 1 : 2 }, () => pickLie(chance()));
  return chance() < 0.5 ? others.map(() => lie) : others;
}

function pickLie(chance: number): Lie {
  return coarseLies[Math.floor(chance * coarseLies.length)]!;
}

/** The changes that a tree makes to a scenario. */
interface Tree {
  /** Relays of each level, the topmost first. */
  readonly relays: readonly number[];
  readonly workers: number;
  readonly faults: readonly FaultKind[];
  readonly faultEveryMs?: number;
  readonly faultsFromMs: number;
  readonly problem: ProblemOptions & { readonly limits: Partial<Limits> };
}

const thousand = 1_000;
const mostRelays = 32;
/** Time for relays and their workers to join. The run begins with all of them, and no fault happens earlier. */
const startWithinMs = 10_000;

/** A few relays in one run of six, a few in each, or some in each with a thousand workers in one run of forty. */
type Forest = 'sometimes' | 'small' | 'large';

/**
 * Draws a tree.
 * @param asked workers behind relays in each run; drawn by default
 */
function drawTree(seed: number, forest: Forest, asked?: number): Tree | undefined {
  const chance = streamOf(seed, 'relays');
  const between = (least: number, most: number): number => least + Math.floor((most - least + 1) * chance());
  if (asked === undefined && chance() > 1 / 6 && forest === 'sometimes') return undefined;
  const isLarge = asked !== undefined || (forest === 'large' && chance() < 1 / 40);
  const workers = isLarge ? (asked ?? thousand) : between(1, forest === 'large' ? 24 : 8);
  const fanIn = isLarge ? between(24, 32) : between(2, forest === 'large' ? 32 : 4);
  const lowest = Math.min(mostRelays, Math.max(1, Math.ceil(workers / fanIn)));
  const relays = chance() < 0.6 ? [lowest] : [Math.ceil(lowest / fanIn), lowest];
  const faults = (Object.keys(relayFaults) as FaultKind[]).filter(() => chance() < 0.6);
  const most = Math.max(workers, thousand);
  const limits = { maxWorkers: 2 * most, maxWorkersPerAddress: most };
  const problem = { startWorkers: most, startWithinMs, limits };
  const tree = { relays, workers, faults, faultsFromMs: startWithinMs };
  if (isLarge) {
    const samples = between(workers, 2 * workers);
    const geometry = { samples, batch: samples, microbatchSize: 1, epochs: between(4, 10), innerSteps: undefined };
    return { ...tree, faultEveryMs: between(10, 100), problem: { ...problem, ...geometry } };
  }
  const geometry = { samples: between(20, 200), batch: between(8, 80), microbatchSize: between(1, 4) };
  return { ...tree, problem: { ...problem, ...geometry, epochs: between(3, 12) } };
}

/** In a fifth of the runs of several epochs, patience runs out after one of them. */
function drawEarlyStop(seed: number, epochs: number): EarlyStop | undefined {
  const chance = streamOf(seed, 'patience');
  if (chance() < 0.8 || epochs < 2) return undefined;
  return { lastEpoch: 1 + Math.floor((epochs - 1) * chance()), evaluateMs: 1 + 2_000 * chance() ** 3 };
}

function describe(seed: number, scenario: Scenario, earlyStop: EarlyStop | undefined): string {
  const { problem, workers, relays, coordinators, faultEveryMs, corruptResults, liars, otherModes, bytesPerMs } =
    scenario;
  const { lateMs = 0, boasts, isRelay, isFirst, honestResults = 0 } = scenario.liarHabit ?? {};
  const habits = [
    lateMs > 0 && `${Math.round(lateMs)} ms late`,
    boasts && 'boasts',
    isRelay && 'as a relay',
    isFirst && 'first',
    honestResults > 0 && `after ${honestResults} right results`,
  ];
  const { samples, batch, microbatchSize, innerSteps, roundsToHalves, participation, epochs } = problem;
  const { verifyRate, sampleField, targetField } = problem;
  const parts = [
    `${epochs} epochs of ${samples} ${sampleField.dtype} samples with ${'classWeights' in targetField ? 'weighted ' : ''}${targetField.dtype} targets, batch ${batch}, microbatches of ${microbatchSize}`,
    ...(earlyStop ? [`an early stop after epoch ${earlyStop.lastEpoch}`] : []),
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

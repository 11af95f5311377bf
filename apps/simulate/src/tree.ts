/** The relays of a simulated run, drawn from its seed. */
import { createHash } from 'node:crypto';
import type { Limits } from '@lockstep/rules';
import { type FaultKind, type ProblemOptions, relayFaults } from '@lockstep/sim';
import { randomStream } from '@lockstep/tensor';

/** The changes that a tree makes to a scenario. */
export interface Tree {
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
export type Forest = 'sometimes' | 'small' | 'large';

/**
 * Draws a tree from a separate random stream.
 * @param asked workers behind relays in each run; drawn by default
 */
export function drawTree(seed: number, forest: Forest, asked?: number): Tree | undefined {
  const chance = randomStream(createHash('sha256').update(`relays of ${seed}`).digest().readUInt32LE());
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

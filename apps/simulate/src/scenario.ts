/** One simulated run: everything about it follows from its seed. */
import { createHash } from 'node:crypto';
import { openChecksum } from '@lockstep/protocol';
import { type HostBackend, isHostBackend, openBackend } from '@lockstep/tensor';
import { createProblem, type Problem, type Simulation, simulate } from '@lockstep/training/simulator';

/** Virtual time after which a run counts as hung. */
const limitMs = 3_600_000;

const checksum = await openChecksum();
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The plain-loop backend: every simulated worker computes on it. */
export async function openReference(): Promise<HostBackend> {
  const { backend } = await openBackend('reference');
  if (!isHostBackend(backend)) throw new Error('reference: expected a backend in memory that JavaScript sees');
  return backend;
}

/** The run with its description in words; `fault` says what is wrong, or is undefined where every invariant holds. */
export async function runScenario(backend: HostBackend, seed: number) {
  const scenario = scenarioOf(seed);
  const problem = await createProblem(backend, { checksum, hash }, { seed, ...scenario.problem });
  const { workers, faultEveryMs, corruptResults } = scenario;
  const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const options = { run: problem.run, backend, seed, workers, faultEveryMs, corruptResults, drain, limitMs };
  const simulation = await simulate(options);
  const fault = faultOf(problem, simulation, corruptResults > 0);
  problem.run.parameterServer.dispose();
  return { simulation, fault, description: describe(seed, scenario) };
}

/** Takes the parts of a scenario from the bits of a hash of the seed. */
function scenarioOf(seed: number) {
  const bytes = createHash('sha256').update(`${seed}`).digest();
  const from = (index: number, least: number, most: number): number => least + (bytes[index]! % (most - least + 1));
  return {
    problem: { samples: from(0, 1, 90), batch: from(1, 1, 40), microbatchSize: from(2, 1, 9), epochs: from(3, 1, 4) },
    workers: from(4, 1, 6),
    faultEveryMs: from(5, 2, 12) * 100,
    corruptResults: from(6, 0, 2) === 0 ? 0.03 : 0,
  };
}

function faultOf(problem: Problem, { outcome, state }: Simulation, mayDiverge: boolean): string | undefined {
  if (outcome.type === 'hung') return `hung in phase ${state.phase} at step ${state.current.step}`;
  if (outcome.type === 'failed') {
    // Two corrupt results of one shard look like divergence, and stop the run with a message.
    return mayDiverge && outcome.message.includes('not finite') ? undefined : `failed: ${outcome.message}`;
  }
  const expected = problem.expected();
  const weights = problem.run.parameterServer.weights();
  const differing = weights.findIndex((value, index) => !Object.is(value, expected[index]));
  if (differing < 0) return undefined;
  return `weight ${differing}: expected ${expected[differing]}, got ${weights[differing]}`;
}

function describe(
  seed: number,
  { problem, workers, faultEveryMs, corruptResults }: ReturnType<typeof scenarioOf>,
): string {
  const { samples, batch, microbatchSize, epochs } = problem;
  return (
    `seed ${seed}: ${epochs} epochs of ${samples} samples, batch ${batch}, microbatches of ${microbatchSize}, ` +
    `${workers} workers at the start, a join, death or freeze every ${faultEveryMs} ms, ` +
    `${100 * corruptResults} % corrupt results`
  );
}

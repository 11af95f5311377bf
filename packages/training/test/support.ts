/** A small problem for the tests: four features, three classes, every shape of batch that a run can meet. */
import { createHash } from 'node:crypto';
import type { Dataset } from '@lockstep/data';
import { initialize, type OptimizerConfig, parseModel, parseOptimizer } from '@lockstep/nn';
import { type Checksum, openChecksum } from '@lockstep/protocol';
import { type HostBackend, isHostBackend, openBackend } from '@lockstep/tensor';
import { defaultLimits, type Limits, type RunSetup } from '../src/coordinator/state.ts';
import { createNumericsCheck } from '../src/numerics-check.ts';
import { oracleWeights } from '../src/oracle.ts';
import { ParameterServer } from '../src/parameter-server.ts';
import { planRun, type RunPlan } from '../src/plan.ts';
import { xorshift32 } from '../src/random.ts';
import { createShardSource } from '../src/shard-source.ts';
import { createLocalCompute } from '../src/worker/local-compute.ts';

export const model = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

export const optimizer: OptimizerConfig = parseOptimizer({ type: 'momentum', learningRate: 0.05 });

export function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const checksum: Checksum = await openChecksum();

export async function hostBackend(name: 'reference' | 'cpu' = 'reference'): Promise<HostBackend> {
  const { backend } = await openBackend(name);
  if (!isHostBackend(backend)) throw new Error(`${name}: expected a backend in JavaScript's own memory`);
  return backend;
}

export function tinyDataset(count: number): Dataset {
  const random = xorshift32(count);
  return {
    images: Uint8Array.from({ length: count * 4 }, () => random() >>> 24),
    labels: Uint8Array.from({ length: count }, () => (random() >>> 8) % 3),
    count,
    rows: 2,
    columns: 2,
    classes: 3,
  };
}

export interface Problem {
  readonly backend: HostBackend;
  readonly plan: RunPlan;
  readonly setup: RunSetup;
  readonly weights: Float32Array;
  /** Everything that `startRun` needs but for time and randomness. */
  readonly run: {
    readonly setup: RunSetup;
    readonly samples: ReturnType<typeof createShardSource>;
    readonly parameterServer: ParameterServer;
    readonly numericsCheck: ReturnType<typeof createNumericsCheck>;
    readonly referenceGradient: Float32Array;
    readonly checksum: Checksum;
    readonly hash: typeof hash;
  };
  readonly expected: () => Float32Array;
}

export interface ProblemOptions {
  readonly samples?: number;
  readonly batch?: number;
  readonly microbatchSize?: number;
  readonly epochs?: number;
  readonly seed?: number;
  readonly startWorkers?: number;
  readonly limits?: Partial<Limits>;
  readonly token?: string;
}

export async function createProblem(backend: HostBackend, options: ProblemOptions = {}): Promise<Problem> {
  const { samples: count = 50, batch = 16, microbatchSize = 3, epochs = 3, seed = 1 } = options;
  const plan = planRun({ samples: count, batch, microbatchSize, epochs });
  const samples = createShardSource(tinyDataset(count), plan, seed);
  const weights = initialize(model, seed);
  const numericsCheck = createNumericsCheck(model, microbatchSize);
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model, microbatchSize });
  compute.setWeights(numericsCheck.weights);
  const { gradient } = await compute.gradient(numericsCheck.pixels, numericsCheck.labels);
  await compute.close();
  const setup: RunSetup = {
    plan,
    model,
    sampleBytes: 4,
    limits: { ...defaultLimits, ...options.limits },
    token: options.token,
    startWorkers: options.startWorkers ?? 1,
    startWithinMs: 5_000,
  };
  const referenceGradient = new Float32Array(gradient.slice().buffer);
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  return {
    backend,
    plan,
    setup,
    weights,
    run: { setup, samples, parameterServer, numericsCheck, referenceGradient, checksum, hash },
    expected: () => oracleWeights({ backend, model, plan, samples, weights, optimizer }),
  };
}

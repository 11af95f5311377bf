/** A small training problem for simulations and tests: four features, three classes, every shape of batch that a run can meet. */
import type { Dataset } from '@lockstep/data';
import { initialize, type OptimizerConfig, parseModel, parseOptimizer } from '@lockstep/nn';
import { bytesOf, type Checksum, floatsFrom } from '@lockstep/protocol';
import { type HostBackend, randomStream } from '@lockstep/tensor';
import { createReferee } from '../coordinator/referee.ts';
import type { RunOptions } from '../coordinator/run.ts';
import { defaultLimits, type Limits, type RunSetup } from '../coordinator/state.ts';
import { createNumericsCheck, type NumericsCheck } from '../numerics-check.ts';
import { ParameterServer } from '../parameter-server.ts';
import { planRun } from '../plan.ts';
import { createShardSource } from '../shard-source.ts';
import { createLocalCompute } from '../worker/local-compute.ts';
import { oracleWeights } from './oracle.ts';

const model = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

const optimizer: OptimizerConfig = parseOptimizer({ type: 'momentum', learningRate: 0.05 });

/** Images of 2 x 2 random bytes, with random labels. */
function tinyDataset(count: number): Dataset {
  const random = randomStream(count);
  return {
    images: Uint8Array.from({ length: count * 4 }, () => Math.floor(256 * random())),
    labels: Uint8Array.from({ length: count }, () => Math.floor(3 * random())),
    count,
    rows: 2,
    columns: 2,
    classes: 3,
  };
}

/** The model, the optimizer and the data of every problem. */
export const tinyProblem = { model, optimizer, datasetOf: tinyDataset };

export interface ProblemOptions {
  readonly samples?: number;
  readonly batch?: number;
  readonly microbatchSize?: number;
  readonly epochs?: number;
  readonly seed?: number;
  readonly startWorkers?: number;
  readonly limits?: Partial<Limits>;
  readonly token?: string;
  readonly verifyRate?: number;
}

export interface Problem {
  readonly backend: HostBackend;
  readonly setup: RunSetup;
  /** Everything that a run needs but time and randomness. */
  readonly run: Omit<RunOptions, 'clock' | 'newResumeKey' | 'onEvent'>;
  /** The oracle's weights after the last step. */
  readonly expected: () => Float32Array;
}

/** @param host what the machine brings: a checksum of frames and a hash of bytes, in hex */
export async function createProblem(
  backend: HostBackend,
  host: { readonly checksum: Checksum; readonly hash: (bytes: Uint8Array) => string },
  options: ProblemOptions = {},
): Promise<Problem> {
  const { samples: count = 50, batch = 16, microbatchSize = 3, epochs = 3, seed = 1 } = options;
  const plan = planRun({ samples: count, batch, microbatchSize, epochs });
  const samples = createShardSource(tinyDataset(count), plan, seed);
  const weights = initialize(model, seed);
  const numericsCheck = createNumericsCheck(model, microbatchSize);
  const referenceGradient = await gradientOf(backend, numericsCheck, microbatchSize);
  const setup: RunSetup = {
    plan,
    model,
    sampleBytes: 4,
    limits: { ...defaultLimits, ...options.limits },
    token: options.token,
    startWorkers: options.startWorkers ?? 1,
    startWithinMs: 5_000,
    verifyRate: options.verifyRate ?? 0,
    verifySalt: seed,
    refereeHash: host.hash(bytesOf(referenceGradient)),
    refereeMode: backend.numericMode,
  };
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const referee = createReferee({ backend, model, plan, samples, seed: 0, parameterServer, nowMs: () => 0 });
  return {
    backend,
    setup,
    run: { setup, samples, parameterServer, numericsCheck, referenceGradient, referee, ...host },
    expected: () => oracleWeights({ backend, model, plan, samples, weights, optimizer }),
  };
}

async function gradientOf(backend: HostBackend, check: NumericsCheck, microbatchSize: number): Promise<Float32Array> {
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model, microbatchSize });
  compute.setWeights(check.weights);
  const { gradient } = await compute.gradient(check.pixels, check.labels);
  const copy = floatsFrom(gradient);
  await compute.close();
  return copy;
}

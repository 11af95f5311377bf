/** A small training problem for simulations and tests: four features, three classes, every possible shape of batch. */

import {
  checkedSetup,
  createNumericsCheck,
  createShardSource,
  hashWith,
  type NewHash,
  ParameterServer,
  referenceOf,
  type ShardSource,
} from '@lockstep/compute';
import type { RunOptions } from '@lockstep/coordinator';
import {
  bytesPerSample,
  classField,
  classTargets,
  type Dataset,
  fieldOf,
  nextTargets,
  samplesOf,
  scaledField,
  tokenField,
  tokenSamples,
  valueField,
  valueTargets,
  weightClasses,
} from '@lockstep/data';
import {
  initialize,
  type Model,
  type OptimizerConfig,
  type OptimizerState,
  parameterLayout,
  parseModel,
  parseOptimizer,
} from '@lockstep/nn';
import { bytesOf, floatsFrom } from '@lockstep/protocol';
import {
  type DataFormat,
  defaultLimits,
  firstSample,
  formatOf,
  type InnerSteps,
  type Limits,
  type Participation,
  planRun,
  type RunHistory,
  type RunPlan,
  type RunSetup,
} from '@lockstep/rules';
import { type HostBackend, randomStream } from '@lockstep/tensor';
import { SampleLedger } from './invariants.ts';
import { oracleWeights } from './oracle.ts';
import { type NumericMode, numericModes, openGradient } from './shared-compute.ts';

const tinyModel = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

/** Predicts the next token at each of three positions. */
export const textModel = parseModel({
  name: 'tiny text',
  input: [3],
  layers: [
    { type: 'embedding', tokens: 300, width: 2 },
    { type: 'positions' },
    { type: 'attention', heads: 1 },
    { type: 'tiedOutput' },
  ],
});

const optimizer: OptimizerConfig = parseOptimizer({ type: 'momentum', learningRate: 0.05 });

const shape = [2, 2, 1];
const names = ['one', 'two', 'three'];

/** All kinds of samples and targets of a problem. */
export const sampleFields: Record<'u8' | 'f32', DataFormat['sampleField']> = {
  u8: scaledField(shape),
  f32: valueField(shape),
};
export const targetFields: Record<'u16' | 'weighted' | 'f32', DataFormat['targetField']> = {
  u16: classField,
  weighted: { ...classField, classWeights: [0.3, 1, 2.5] },
  f32: valueField([names.length]),
};
/** Windows of three positions. */
export const textFormat = { sampleField: tokenField(4, 300), targetField: fieldOf(nextTargets([], 3)) } as const;
const bytesAndClasses: DataFormat = { sampleField: sampleFields.u8, targetField: targetFields.u16 };

/** Creates random samples, with random targets. @param format bytes with classes by default */
function tinyDataset(count: number, format: Partial<DataFormat> = {}): Dataset {
  const { sampleField, targetField } = { ...bytesAndClasses, ...format };
  const random = randomStream(count);
  if (sampleField.role === 'index') return tinyText(count, sampleField.tokens, random);
  const samples =
    sampleField.role === 'scaled'
      ? Uint8Array.from({ length: count * 4 }, () => Math.floor(256 * random()))
      : Float32Array.from({ length: count * 4 }, () => 2 * random() - 1);
  const targets =
    targetField.role === 'index'
      ? classTargets(
          Uint16Array.from({ length: count }, () => Math.floor(3 * random())),
          names,
        )
      : valueTargets(
          Float32Array.from({ length: count * 3 }, () => 2 * random() - 1),
          names,
        );
  const data = { samples: samplesOf(samples, shape), targets, count };
  const weights = targetField.role === 'index' ? targetField.classWeights : undefined;
  return weights ? weightClasses(data, weights) : data;
}

function tinyText(count: number, tokens: number, random: () => number): Dataset {
  const values = Array.from({ length: count * 4 }, () => Math.floor(tokens * random()));
  const samples = tokenSamples(tokens <= 256 ? Uint8Array.from(values) : Uint16Array.from(values), 4, tokens);
  const vocabulary = Array.from({ length: tokens }, (_, token) => `${token}`);
  return { samples, targets: nextTargets(vocabulary, 3), count };
}

/** The model, optimizer and data of every problem. */
export const tinyProblem = { model: tinyModel, optimizer, datasetOf: tinyDataset };

export interface ProblemOptions extends Partial<DataFormat> {
  readonly samples?: number;
  readonly batch?: number;
  readonly microbatchSize?: number;
  /** Inner steps of each microbatch, which is then a replica; none by default. */
  readonly innerSteps?: InnerSteps | undefined;
  readonly roundsToHalves?: boolean | undefined;
  readonly epochs?: number;
  /** The epoch whose weights a run ends with, because it stops early; by default the last. */
  readonly lastEpoch?: number | undefined;
  readonly seed?: number;
  readonly startWorkers?: number;
  readonly startWithinMs?: number;
  readonly anotherMayFollow?: boolean;
  readonly limits?: Partial<Limits>;
  readonly token?: string;
  readonly verifyRate?: number;
  readonly keptStates?: number;
  readonly participation?: Participation;
}

/** Everything that the next step of a run depends on, between two steps. */
export interface RunCopy {
  /** The next step to take. */
  readonly step: number;
  readonly weights: Float32Array;
  readonly optimizer: OptimizerState;
  /** How often each sample has been counted in the current epoch. */
  readonly counts: Uint8Array;
  /** Workers and faults of the steps so far. */
  readonly history: RunHistory;
  /** Weights of the last epoch, if the run stops early and has taken it. */
  readonly kept: Float32Array | undefined;
}

/** Everything that a run needs except time and randomness. */
export type RunParts = Omit<RunOptions, 'clock' | 'newResumeKey' | 'onEvent' | 'onStep'>;

export interface Problem {
  readonly backend: HostBackend;
  readonly setup: RunSetup;
  /** A run from the beginning. */
  readonly run: RunParts;
  readonly ledger: SampleLedger;
  /** Creates the same run again, from a checkpoint or from the beginning. */
  readonly resume: (checkpoint: RunCopy | undefined) => { readonly run: RunParts; readonly ledger: SampleLedger };
  /** Returns the oracle's weights after the last step of the last epoch, in a numeric mode. */
  readonly expected: (mode?: NumericMode) => Float32Array;
}

interface Prepared {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly dataset: Dataset;
  /** Hash of the numerics check's gradient. */
  readonly referenceHash: string;
}

function setupOf(options: ProblemOptions, { backend, model, plan, dataset, referenceHash }: Prepared): RunSetup {
  return {
    plan,
    model,
    format: formatOf(dataset),
    sampleBytes: bytesPerSample(dataset),
    limits: { ...defaultLimits, ...options.limits },
    token: options.token,
    startWorkers: options.startWorkers ?? 1,
    startWithinMs: options.startWithinMs ?? 5_000,
    verifyRate: options.verifyRate ?? 0,
    verifySalt: options.seed ?? 1,
    keptStates: options.keptStates ?? 4,
    participation: options.participation ?? 'fastest',
    anotherMayFollow: options.anotherMayFollow ?? false,
    refereeHash: referenceHash,
    refereeMode: backend.numericMode,
  };
}

interface Refereed {
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  readonly gradientOf: Awaited<ReturnType<typeof openGradient>>;
}

function refereeOf({ plan, samples, gradientOf }: Refereed, parameterServer: ParameterServer): RunOptions['referee'] {
  return async (step, { lo, n }) => {
    const { samples: values, targets, count } = samples.shard(step, lo, n);
    const { aggregator, parameterCount: to } = parameterServer;
    const key = { seed: 0, step, firstSample: firstSample(plan, step, lo) };
    const own = await gradientOf(parameterServer.weightBytes(), values, targets, { key, halfUnit: plan.halfUnit });
    const memory = aggregator.reserve();
    aggregator.finish(memory, aggregator.write(memory, { from: 0, to }, { bytes: own.gradient }), own);
    return { memory, count };
  };
}

/** @param newHash creates a hash; each platform brings its own */
export async function createProblem(
  backend: HostBackend,
  newHash: NewHash,
  options: ProblemOptions = {},
): Promise<Problem> {
  const { samples: count = 50, batch = 16, microbatchSize = 3, epochs = 3, seed = 1 } = options;
  const format = { ...bytesAndClasses, ...options };
  const { targetField } = format;
  const model = targetField.role === 'next' ? textModel : tinyModel;
  const { innerSteps, roundsToHalves, lastEpoch = epochs } = options;
  const plan = planRun({ samples: count, batch, microbatchSize, epochs, innerSteps, roundsToHalves });
  const dataset = tinyDataset(count, format);
  const samples = createShardSource(dataset, plan, seed);
  const weights = initialize(model, seed);
  const computeSetup = { model, microbatchSize, targetField, innerSteps };
  const gradientOf = await openGradient(backend, computeSetup);
  const checkSetup = checkedSetup(computeSetup);
  const numericsCheck = createNumericsCheck(model, checkSetup.microbatchSize, format);
  const checkOf = await openGradient(backend, checkSetup);
  const check = await checkOf(numericsCheck.weights, numericsCheck.samples, numericsCheck.targets);
  const gradient = floatsFrom(check.gradient);
  const referenceGradient = referenceOf(gradient);
  const setup = setupOf(options, {
    backend,
    model,
    plan,
    dataset,
    referenceHash: hashWith(newHash)(bytesOf(gradient)),
  });
  const resume: Problem['resume'] = (checkpoint) => {
    const start = { weights, step: 0, ...checkpoint };
    const firstStep = start.step;
    const parameterServer = new ParameterServer({
      ...{ backend, plan, optimizer, layout: parameterLayout(model), weights: start.weights, firstStep },
      ...(checkpoint && { optimizerState: checkpoint.optimizer }),
    });
    const ledger = new SampleLedger(plan, samples, checkpoint?.counts);
    ledger.watch(parameterServer, firstStep);
    const referee = refereeOf({ plan, samples, gradientOf }, parameterServer);
    const given = { samples, parameterServer, numericsCheck, referenceGradient, referee };
    const history = checkpoint && { history: checkpoint.history };
    return { run: { setup, firstStep, ...history, ...given, transcript: ledger, newHash }, ledger };
  };
  return {
    backend,
    setup,
    ...resume(undefined),
    resume,
    expected: (mode = 'exact') =>
      oracleWeights({
        ...{ backend, model, targetField, plan, samples, weights, optimizer },
        ...{ steps: lastEpoch * plan.stepsPerEpoch, round: numericModes[mode] },
      }),
  };
}

/** Turns options into a run that can start, or refuses them. */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { checkDataset, DataError, type Dataset, sampleSize } from '@lockstep/data';
import { loadMnist, openDataset } from '@lockstep/data/node';
import { inputSize, type Model, outputCount, resolveModel } from '@lockstep/nn';
import { formatOf, planRun } from '@lockstep/training';
import { configurationError, defaultThreads, named, requireThreads } from '@lockstep/worker';
import { requireCheckpointFolder } from './checkpoint/folder.ts';
import { keptSecret } from './checkpoint/kept-secret.ts';
import { errorMessage } from './error-message.ts';
import { isLoopback } from './http/addresses.ts';
import { openTls } from './http/tls.ts';
import { readInitialWeights } from './model/initial-weights.ts';
import { optimizerOf } from './optimizer/optimizer.ts';
import { recipeOf } from './optimizer/recipes.ts';
import type { CheckpointOptions, TrainingData, TrainOptions } from './options.ts';
import type { Prepared } from './prepared.ts';
import type { RunConfig } from './report/report.ts';
import { type MemoryNeedOptions, memoryFault, systemMemoryBytes } from './run/memory-need.ts';

const defaultHost = '127.0.0.1';
const defaultEpochs = 5;
const defaultSeed = 1;
const defaultVerifyRate = 0.01;

/** @throws ConfigurationError with one sentence where the run cannot be */
export async function prepare(options: TrainOptions): Promise<Prepared> {
  const { backend = 'auto', workers = 0, checkpoint, seed = defaultSeed, gradients = 'exact' } = options;
  const isAlone = options.listen === undefined;
  const threads = options.threads ?? defaultThreads(backend, isAlone ? 1 : workers, availableParallelism());
  requireThreads(backend, threads);
  requireCheckpointFolder(checkpoint);
  const { train, test, reading } = await dataOf(options.data, seed);
  const model = modelOf(options.model ?? 'mlp', train);
  requireFit(model, train);
  const recipe = recipeOf(model.name);
  const plan = planOf(options, train, recipe.batch);
  const optimizer = optimizerOf(options.optimizer, plan.steps, recipe);
  const initial = options.initialWeights === undefined ? undefined : readInitialWeights(options.initialWeights, model);
  const config: RunConfig = {
    data: { ...formatOf(train), outputs: train.targets.names.length },
    seed,
    samples: train.count,
    batch: plan.batch,
    microbatchSize: plan.microbatchSize,
    epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
    steps: plan.steps,
    optimizer,
    workers: isAlone ? 'single' : workers,
    ...(gradients === 'exact' ? {} : { gradients }),
    ...(initial && { initSha256: initial.weightsSha256 }),
  };
  requireMemory({ model, ...config, microbatches: plan.microbatches, threads });
  const verifyRate = isAlone ? 0 : (options.verifyRate ?? defaultVerifyRate);
  const work = { model, optimizer, initialWeights: initial?.weights, train, test, reading, plan, config };
  return { ...work, backend, threads, workers, verifyRate, checkpoint, ...(await networkOf(options)) };
}

async function networkOf({ listen, checkpoint }: TrainOptions) {
  const adminToken = newSecret();
  if (!listen) return { listen: undefined, token: undefined, adminToken, tls: undefined };
  const { host = defaultHost } = listen;
  const token = listen.token ?? (isLoopback(host) ? undefined : await newToken(checkpoint));
  return { listen: { ...listen, host }, token, adminToken, tls: await openTls(listen.tls, host, checkpoint) };
}

function newSecret(): string {
  return randomBytes(16).toString('base64url');
}

/** The one from before, where the run is resumed: its workers know no other. */
function newToken(checkpoint: CheckpointOptions | undefined): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ checkpoint, fileName: 'join-token', isValid, create: newSecret });
}

/** A built-in model is fitted to the data. @throws ConfigurationError */
function modelOf(nameOrJson: string, { sampleShape, targets }: Dataset): Model {
  try {
    return resolveModel(nameOrJson, { sampleShape, outputs: targets.names.length });
  } catch (error) {
    throw configurationError`${named('model')}: ${errorMessage(error)}`;
  }
}

/** @param seed splits what has no samples to test with */
async function dataOf(data: string | TrainingData | undefined, seed: number): Promise<TrainingData> {
  try {
    const found = typeof data === 'string' ? await openDataset(data, { seed }) : (data ?? (await loadMnist()));
    const { train, test, reading }: TrainingData = found;
    checkDataset(train, 'the training set');
    checkDataset(test, 'the test set');
    requireAlike(train, test);
    return { train, test, reading };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    if (data === undefined) throw configurationError`${error.message}`;
    throw configurationError`${named('data')}: ${error.message}`;
  }
}

/** @throws DataError where a model of the training set could not be tested with the test set */
function requireAlike(train: Dataset, test: Dataset): void {
  const [expected, got] = [train, test].map(describe);
  if (got !== expected) throw new DataError(`the test set: expected ${expected}, as the training set, got ${got}`);
}

/** Such as `u8 samples of 28 x 28 x 1 and 10 classes`. */
function describe(data: Dataset): string {
  const { sampleType, sampleShape, targetType } = formatOf(data);
  return `${sampleType} samples of ${sampleShape.join(' x ')} and ${data.targets.names.length} ${targetType}`;
}

function planOf({ batch: asked, epochs = defaultEpochs, steps }: TrainOptions, train: Dataset, usualBatch: number) {
  // A set that is smaller than the usual batch is one batch.
  const batch = asked ?? Math.min(usualBatch, train.count);
  if (batch > train.count) {
    throw configurationError`${named('batch')}: expected at most the ${train.count} samples of the training set, got ${batch}`;
  }
  return planRun({ samples: train.count, batch, epochs, steps });
}

function requireMemory(need: MemoryNeedOptions): void {
  const fault = memoryFault(need, systemMemoryBytes());
  if (fault !== undefined) throw configurationError`${named('model')}: ${fault}`;
}

function requireFit(model: Model, data: Dataset): void {
  const [values, inputs] = [sampleSize(data), inputSize(model)];
  if (inputs !== values) {
    throw configurationError`${named('model')}: expected an input of ${values} values, as the samples have, got ${inputs}`;
  }
  const { type, names } = data.targets;
  const [expected, outputs] = [names.length, outputCount(model)];
  if (outputs === expected) return;
  const each = type === 'classes' ? 'class' : 'value';
  throw configurationError`${named('model')}: expected ${expected} outputs, one for each ${each}, got ${outputs}`;
}

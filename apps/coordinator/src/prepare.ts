/** Turns options into a run that can start, or refuses them. */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { errorMessage, readOptionFile, requireOutputs, tokenFrom, usageFailure } from '@lockstep/command';
import { checkDataset, DataError, type Dataset, sampleSize } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { inputSize, type Model, type OptimizerConfig, outputCount, resolveModel } from '@lockstep/nn';
import { defaultThreads, type RunConfig, threadsFault } from '@lockstep/train';
import { formatOf, planRun, type RunPlan } from '@lockstep/training';
import { requireCheckpointFolder } from './checkpoint/folder.ts';
import { keptSecret } from './checkpoint/kept-secret.ts';
import { openTls, type Tls } from './http/tls.ts';
import { readInitialWeights } from './initial-weights.ts';
import { type MemoryNeedOptions, memoryFault, systemMemoryBytes } from './memory-need.ts';
import { optimizerOf } from './optimizer.ts';
import type { CoordinatorOptions } from './options.ts';
import { recipeOf } from './recipes.ts';

export interface Prepared {
  readonly model: Model;
  readonly optimizer: OptimizerConfig;
  /** What the run begins with, where the seed does not draw it. */
  readonly initialWeights: Float32Array | undefined;
  readonly train: Dataset;
  readonly test: Dataset;
  readonly plan: RunPlan;
  readonly config: RunConfig;
  /** That compute in each local worker, or in this process where it is the only one. */
  readonly threads: number;
  /** Part of the shards that two workers compute; 0 where there is but this process. */
  readonly verifyRate: number;
  readonly token: string | undefined;
  readonly adminToken: string;
  readonly tls: Tls | undefined;
}

/** @throws CommandFailure with exit code 2 */
export async function prepare(options: CoordinatorOptions): Promise<Prepared> {
  const threads =
    options.threads ?? defaultThreads(options.backend, options.single ? 1 : options.workers, availableParallelism());
  const tooMany = threadsFault(options.backend, threads);
  if (tooMany !== undefined) throw usageFailure(tooMany);
  if (options.verify && options.gradients !== 'exact') {
    const got = `${options.gradients}, whose rounding depends on the workers`;
    throw usageFailure(`--verify: expected with --gradients exact, got ${got}`);
  }
  requireNetwork(options);
  requireCheckpointFolder(options);
  const given = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  requireOutputs({ save: options.save, report: options.report });
  const { train, test } = await dataOf(options.data);
  const model = modelOf(options.model, train);
  requireFit(options.model, model, train);
  const recipe = recipeOf(model.name);
  // A set that is smaller than the usual batch is one batch.
  const batch = options.batch ?? Math.min(recipe.batch, train.count);
  if (batch > train.count) {
    throw usageFailure(`--batch: expected at most the ${train.count} samples of the training set, got ${batch}`);
  }
  const plan = planRun({ samples: train.count, batch, epochs: options.epochs, steps: options.steps });
  const optimizer = optimizerOf(options, plan.steps, recipe);
  const init = options.init === undefined ? undefined : readInitialWeights(options.init, model);
  const config: RunConfig = {
    data: { ...formatOf(train), outputs: train.targets.names.length },
    seed: options.seed,
    samples: train.count,
    batch: plan.batch,
    microbatchSize: plan.microbatchSize,
    epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
    steps: plan.steps,
    optimizer,
    workers: options.single ? 'single' : options.workers,
    ...(options.gradients === 'exact' ? {} : { gradients: options.gradients }),
    ...(init && { initSha256: init.weightsSha256 }),
  };
  requireMemory(options.model, { model, ...config, microbatches: plan.microbatches, threads });
  const token = given ?? (isLoopback(options.host) ? undefined : await newToken(options));
  const tls = await openTls(options);
  const verifyRate = options.single ? 0 : options['verify-rate'];
  const data = { train, test };
  const run = { model, optimizer, initialWeights: init?.weights, ...data, plan, config, threads, verifyRate };
  return { ...run, token, adminToken: newSecret(), tls };
}

function newSecret(): string {
  return randomBytes(16).toString('base64url');
}

/** The one from before, where the run is resumed: its workers know no other. */
function newToken({ checkpoint: folder, resume }: CoordinatorOptions): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ folder, resume, fileName: 'join-token', isValid, create: newSecret });
}

/** `--single` opens no socket. */
function requireNetwork(options: CoordinatorOptions): void {
  if (!options.single) return;
  for (const name of ['tls', 'tls-cert', 'tls-key', 'allow-origin', 'chaos', 'wait-for-start', 'stay'] as const) {
    if (options[name] === undefined || options[name] === false) continue;
    throw usageFailure(`--${name}: expected without --single, which opens no socket`);
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** A built-in model is fitted to the data. @throws CommandFailure with exit code 2 */
export function modelOf(nameOrFile: string, data: Dataset): Model {
  const text = nameOrFile.endsWith('.json') ? readOptionFile('model', nameOrFile) : nameOrFile;
  try {
    return resolveModel(text, { sampleShape: data.sampleShape, outputs: data.targets.names.length });
  } catch (error) {
    throw usageFailure(`--model ${nameOrFile}: ${errorMessage(error)}`);
  }
}

/** @throws CommandFailure with exit code 2 */
export async function dataOf(directory: string | undefined): Promise<{ train: Dataset; test: Dataset }> {
  try {
    const data = await loadMnist(directory);
    for (const [part, dataset] of Object.entries(data)) checkDataset(dataset, `the ${part} set`);
    return data;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

function requireMemory(name: string, need: MemoryNeedOptions): void {
  const fault = memoryFault(need, systemMemoryBytes());
  if (fault !== undefined) throw usageFailure(`--model ${name}: ${fault}`);
}

function requireFit(name: string, model: Model, data: Dataset): void {
  const [values, inputs] = [sampleSize(data), inputSize(model)];
  if (inputs !== values) {
    throw usageFailure(`--model ${name}: expected an input of ${values} values, as the samples have, got ${inputs}`);
  }
  const { type, names } = data.targets;
  const outputs = outputCount(model);
  if (outputs === names.length) return;
  const each = type === 'classes' ? 'class' : 'value';
  throw usageFailure(`--model ${name}: expected ${names.length} outputs, one for each ${each}, got ${outputs}`);
}

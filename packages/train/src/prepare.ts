/** Turns options into a run that can start, or refuses them. */
import { checkDataset, DataError, type Dataset, movableSamples, sampleSize } from '@lockstep/data';
import { inputSize, type Model, outputCount, parseModel, resolveModel } from '@lockstep/nn';
import { formatOf } from '@lockstep/rules';
import { type ComputeChoice, configurationError, defaultThreads, named, requireThreads } from '@lockstep/worker';
import { learningRateScale, recipeOf } from './defaults.ts';
import { dilocoOf } from './diloco.ts';
import { readInitialWeights } from './model/model-file.ts';
import { newSecret } from './new-secret.ts';
import { optimizerOf } from './optimizer.ts';
import { checkTrainOptions, runOptions, uploadedData } from './option-table.ts';
import type { CheckpointOptions, ListenOptions, TrainingData, TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import type { NetworkSettings, Prepared } from './prepared.ts';
import type { DataSummary, RunConfig } from './record/report.ts';
import { type MemoryNeedOptions, memoryFault } from './run/memory-need.ts';
import { expectedWorkers, planAtStartOf, planOf } from './run-plan.ts';
import type { LocalWorkersSetup } from './site/local-workers.ts';
import { errorMessage } from './words.ts';

export const defaultSeed = runOptions.seed.default;
const defaultModel = runOptions.model.default;

/**
 * @param settings of the server, if it is already open
 * @throws ConfigurationError with one sentence if there can be no such run, DataError if its data cannot be read
 */
export async function prepare(
  options: TrainOptions,
  platform: Platform,
  settings?: NetworkSettings,
): Promise<Prepared> {
  const { backend, workers, threads, colocate, checkpoint, listen } = checkedBefore(options, platform);
  const { data, seed = defaultSeed, gradients = runOptions.gradients.default } = options;
  const isAlone = listen === undefined;
  const {
    name: dataName,
    train,
    test,
    reading,
  } = checked(typeof data === 'object' ? data : await loadOwn(platform, data, seed));
  const model = modelOf(options.model ?? defaultModel, train);
  requireFit(model, train);
  const recipe = recipeOf(model.name);
  const diloco = dilocoOf(options);
  const planAtStart = diloco ? undefined : planAtStartOf(options, train.count, recipe.batch);
  const asked = planAtStart ? { ...options, batch: undefined } : options;
  const plan = planOf(asked, train.count, recipe.batch, diloco);
  const rateScale = typeof options.batch !== 'number' ? learningRateScale(plan.batch, recipe.batch) : 1;
  const rates = diloco ? ({ isOuter: true } as const) : { scale: rateScale };
  const optimizer = optimizerOf(options.optimizer, plan.steps, recipe, rates);
  const initial = options.initialWeights === undefined ? undefined : readInitialWeights(options.initialWeights, model);
  const config: RunConfig = {
    data: dataSummary(train),
    seed,
    samples: train.count,
    batch: plan.batch,
    microbatchSize: plan.microbatchSize,
    epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
    steps: plan.steps,
    optimizer,
    ...(diloco && { diloco }),
    workers: isAlone ? 'single' : workers,
    ...(gradients === runOptions.gradients.default ? {} : { gradients }),
    ...(initial && { initSha256: initial.weightsSha256 }),
  };
  requireMemory({ model, ...config, microbatches: plan.microbatches, threads, colocate }, platform);
  const verifyRate = isAlone ? 0 : (options.verifyRate ?? runOptions['verify-rate'].default);
  const work = { model, optimizer, initialWeights: initial?.weights, dataName, train, test, reading, plan, config };
  const noNetwork = { listen: undefined, token: undefined, code: undefined, adminToken: '', tls: undefined };
  // Local workers end with this process, so no secret is kept for them.
  const kept = options.listen ? checkpoint : undefined;
  const network = (listen && (settings ?? (await platform.host?.prepareNetwork(listen, kept)))) ?? noNetwork;
  const allTakePart = expectedWorkers(asked) !== undefined;
  return { ...work, backend, threads, workers, colocate, verifyRate, allTakePart, planAtStart, checkpoint, ...network };
}

/** Data used only by the run, which may therefore move the samples. */
async function loadOwn(platform: Platform, data: string | undefined, seed: number): Promise<TrainingData> {
  const loaded = await platform.loadData(data, seed);
  return { ...loaded, train: movableSamples(loaded.train) };
}

/**
 * Network settings of a server that opens before its run, whose data are uploaded.
 * @throws ConfigurationError if there can be no such run, whatever the data
 */
export async function prepareServer(options: TrainOptions, platform: Platform): Promise<NetworkSettings> {
  const { listen, checkpoint } = checkedBefore(options, platform);
  if (!options.listen || !listen || !platform.host) {
    throw configurationError`${named('data', uploadedData)}: expected with ${named('listen')}, whose page takes the data`;
  }
  resolvedModel(options.model ?? defaultModel);
  return platform.host.prepareNetwork(listen, checkpoint);
}

/** The local workers of the run. @throws ConfigurationError if there can be no such run, whatever the data */
export function localWorkersOf(options: TrainOptions, platform: Platform): LocalWorkersSetup {
  const { workers, backend, threads } = checkedBefore(options, platform);
  return { count: workers, backend, threads };
}

/** Checks the options that do not depend on the data. */
function checkedBefore(options: TrainOptions, platform: Platform) {
  checkTrainOptions(options);
  requireHost(options, platform);
  requireEqualRounding(options);
  const { backend = runOptions.backend.default, workers = runOptions.workers.default, colocate = false } = options;
  const checkpoint = checkpointOf(options.checkpoint);
  const listen = listenOf(options);
  if (colocate) requireColocation(backend, listen);
  const processes = listen === undefined ? 1 : workers + (colocate ? 1 : 0);
  const threads = options.threads ?? defaultThreads(backend, processes, platform.cores);
  requireThreads(backend, threads);
  platform.host?.requireCheckpointFolder(checkpoint);
  return { backend, workers, threads, colocate, checkpoint, listen };
}

/** @throws ConfigurationError if this process cannot compute besides its workers */
function requireColocation(backend: ComputeChoice, listen: ListenOptions | undefined): void {
  if (!listen) {
    throw configurationError`${named('colocate')}: expected with workers or ${named('listen')}, since a process alone computes anyway`;
  }
  if (backend === 'auto' || backend === 'cpu') return;
  throw configurationError`${named('backend')}: expected auto or cpu with ${named('colocate')}, which computes with the coordinator's own weights, got ${backend}`;
}

/** A run with only local workers gives them a token that nobody else has. */
function listenOf({ listen = false, workers = 0 }: TrainOptions): ListenOptions | undefined {
  if (listen === false) return workers === 0 ? undefined : { port: 0, token: newSecret() };
  if (listen === true) return {};
  const { server, path, port, tls } = listen;
  if (!server && path !== undefined)
    throw configurationError`${named('listen.path')}: expected with ${named('listen.server')}, got it alone`;
  for (const [name, value] of Object.entries({ port, tls })) {
    if (!server || value === undefined) continue;
    throw configurationError`${named(`listen.${name}`)}: expected without ${named('listen.server')}, which has its own`;
  }
  return listen;
}

/** @throws ConfigurationError if the options require something that a page lacks */
function requireHost(options: TrainOptions, { host }: Platform): void {
  if (host) return;
  for (const name of ['listen', 'workers', 'colocate', 'checkpoint'] as const) {
    if (!options[name]) continue;
    throw configurationError`${named(name)}: expected none in a page, which has no sockets to listen on, processes or files`;
  }
}

/** @throws ConfigurationError if nodes of the tree would be rounded by a backend with different rounding */
function requireEqualRounding({ backend = 'auto', gradients }: TrainOptions): void {
  if (gradients !== 'fp16-exact') return;
  const equal: readonly ComputeChoice[] = ['auto', 'cpu', 'reference'];
  if (equal.includes(backend)) return;
  throw configurationError`${named('backend')}: expected ${equal.join(', ')} with ${named('gradients', gradients)}, which promises equal bits on any workers, got ${backend}`;
}

function checkpointOf(checkpoint: TrainOptions['checkpoint']): CheckpointOptions | undefined {
  return typeof checkpoint === 'string' ? { folder: checkpoint } : checkpoint;
}

function dataSummary(train: Dataset): DataSummary {
  const { targets } = train;
  const standardization = targets.type === 'values' ? targets.standardization : undefined;
  return { ...formatOf(train), outputs: targets.names.length, ...(standardization && { standardization }) };
}

/** Resolves the model, fitting a built-in one to the data. @throws ConfigurationError */
function modelOf(model: NonNullable<TrainOptions['model']>, { sampleShape, targets }: Dataset): Model {
  return resolvedModel(model, { sampleShape, outputs: targets.names.length });
}

/** @throws ConfigurationError */
function resolvedModel(model: NonNullable<TrainOptions['model']>, fit?: Parameters<typeof resolveModel>[1]): Model {
  try {
    return typeof model === 'string' ? resolveModel(model, fit) : parseModel(model);
  } catch (error) {
    throw configurationError`${named('model')}: ${errorMessage(error)}`;
  }
}

/** @throws ConfigurationError if the data cannot be used for training */
function checked({ name, train, test, reading }: TrainingData): TrainingData {
  try {
    checkDataset(train, 'the training set');
    checkDataset(test, 'the test set');
    requireAlike(train, test);
    return { name, train, test, reading };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw configurationError`${named('data')}: ${error.message}`;
  }
}

/** @throws DataError if a model of the training set cannot be tested on the test set */
function requireAlike(train: Dataset, test: Dataset): void {
  const [expected, got] = [train, test].map(describe);
  if (got !== expected) throw new DataError(`the test set: expected ${expected}, as the training set, got ${got}`);
  const at = train.targets.names.findIndex((name, index) => name !== test.targets.names[index]);
  if (at < 0) return;
  const [name, other] = [train, test].map(({ targets }) => JSON.stringify(targets.names[at]));
  const which = `${train.targets.type === 'classes' ? 'class' : 'value'} ${at}`;
  throw new DataError(
    `the test set: expected ${name} as ${which}, as in the training set, got ${other}: give both the same names in one order`,
  );
}

/** A description such as `u8 samples of 28 x 28 x 1 and 10 classes`. */
function describe(data: Dataset): string {
  const { sampleType, sampleShape, targetType } = formatOf(data);
  return `${sampleType} samples of ${sampleShape.join(' x ')} and ${data.targets.names.length} ${targetType}`;
}

function requireMemory(need: MemoryNeedOptions, { memoryBytes }: Platform): void {
  const fault = memoryFault(need, memoryBytes);
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

/** Turns options into a run that can start, or refuses them. */
import {
  type Augmentation,
  augmentations,
  checkDataset,
  createAugmenter,
  DataError,
  type Dataset,
  fieldOf,
  movableSamples,
  sizeOfField,
  targetWords,
} from '@lockstep/data';
import { splitDataset } from '@lockstep/data/readers';
import {
  everyLayer,
  fitFault,
  fitOf,
  type Model,
  type Monitor,
  monitors,
  outputCount,
  parseModel,
  promptTokens,
  resolveModel,
  sampleSize,
} from '@lockstep/nn';
import {
  type DataSummary,
  namingOption,
  newSecret,
  type RunConfig,
  tokenUnits,
  type ValidationConfig,
} from '@lockstep/record';
import { formatOf, type RunSetup } from '@lockstep/rules';
import { type ComputeChoice, configurationError, defaultThreads, optionName, requireThreads } from '@lockstep/worker';
import { withClassWeights } from './class-weights.ts';
import { defaultModel, defaultSampleSteps, recipeOf, textFor } from './defaults.ts';
import { memoryFault } from './memory-need.ts';
import { modelToTransfer, readInitialWeights, transferWeights } from './model.ts';
import { checkTrainOptions, defaultValidation, runOptions, uploadedData } from './option-table.ts';
import type { ListenOptions, TrainingData, TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import type { LocalWorkersSetup, NetworkSettings, Prepared } from './prepared.ts';
import { planOf } from './run-plan.ts';
import type { WritingSetup } from './writing.ts';

export const defaultSeed = runOptions.seed.default;

/** The site of a run that is being prepared. */
interface PreparingSite {
  /** Settings of an open server; undefined before it is open. */
  readonly settings: NetworkSettings | undefined;
  /** Starts local workers, which load meanwhile. */
  startWorkers(setup: LocalWorkersSetup): void;
}

/**
 * @param site of the run: its local workers load while the data are read; an open server keeps its settings
 * @throws ConfigurationError with one sentence if there can be no such run, DataError if its data cannot be read
 */
export async function prepare(options: TrainOptions, platform: Platform, site?: PreparingSite): Promise<Prepared> {
  const { listen, checkpoint, ...computing } = checkWithoutData(options, platform);
  const { workers } = computing;
  if (workers > 0) site?.startWorkers(computing);
  const { seed = defaultSeed, gradients = runOptions.gradients.default } = options;
  const data = checkData(typeof options.data === 'object' ? options.data : await loadOwn(platform, options, seed));
  const { test, reading } = data;
  const { train: unweighted, validation, choosing, heldOut } = await holdOut(options, data, seed, platform);
  const train = withClassWeights(unweighted, options.classWeights);
  const augment = augmentOf(options, train);
  const model = fittingModel(options.model ?? modelFor(options, data), train);
  const frozen = frozenBy(options, model);
  const recipe = recipeOf(model.name, train.samples.role === 'index' ? train.targets.role : undefined);
  const { diloco, allTakePart, ...planned } = planOf(options, train.count, recipe, frozen);
  const { plan, optimizer } = planned;
  const writing = writingOf(options, data, seed);
  const initial = initialOf(options, model, seed, reading);
  const config: RunConfig = {
    ...{ data: dataSummary(train, reading), seed, samples: train.count, testSamples: test.count },
    ...(choosing && { validation: choosing }),
    ...{ batch: plan.batch, microbatchSize: plan.microbatchSize },
    epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
    ...{ steps: plan.steps, optimizer },
    ...(diloco && { diloco }),
    workers: listen ? workers : 'single',
    ...(gradients === runOptions.gradients.default ? {} : { gradients }),
    ...(initial && { initSha256: initial.weightsSha256 }),
    ...(augment.length > 0 && { augment }),
    ...(initial?.transfer && { transfer: initial.transfer }),
    ...(frozen > 0 && { freeze: options.freeze! }),
    ...(writing && {
      prompt: options.prompt ?? '',
      sampleEvery: options.sampleEvery ?? Math.ceil(defaultSampleSteps / (diloco?.innerSteps ?? 1)),
    }),
  };
  const need = { ...computing, ...config, model, microbatches: plan.microbatches };
  const fault = memoryFault(need, platform.memoryBytes);
  if (fault !== undefined) throw configurationError`${optionName('model')}: ${fault}`;
  const rules: Partial<RunSetup> = {
    // A process alone cannot cross-check itself.
    verifyRate: listen ? (options.verifyRate ?? runOptions['verify-rate'].default) : 0,
    ...(allTakePart && { participation: 'rotation' }),
  };
  const noNetwork = { listen: undefined, token: undefined, code: undefined, adminToken: '', tls: undefined };
  // Local workers end with this process, so no secret is kept for them.
  const kept = options.listen ? checkpoint : undefined;
  const network = listen && (site?.settings ?? (await platform.host?.prepareNetwork(listen, kept)));
  return {
    ...{ model, initialWeights: initial?.weights, frozen, data, train, test, validation, reading, writing },
    ...{ ...planned, config, ...computing, rules, checkpoint, transcript: options.transcript, heldOut },
    ...(network ?? noNetwork),
  };
}

/** Data used only by the run, which may therefore move the samples. */
async function loadOwn(platform: Platform, { data, model }: TrainOptions, seed: number): Promise<TrainingData> {
  const loaded = await platform.loadData(data as string | undefined, seed, textFor(model));
  return { ...loaded, train: movableSamples(loaded.train) };
}

/**
 * Network settings of a server that opens before its run, whose data are uploaded.
 * @throws ConfigurationError if there can be no such run, whatever the data
 */
export async function prepareServer(options: TrainOptions, platform: Platform): Promise<NetworkSettings> {
  const { listen, checkpoint } = checkWithoutData(options, platform);
  if (!options.listen || !listen || !platform.host) {
    throw configurationError`${optionName('data', uploadedData)}: requires ${optionName('listen')}, whose page takes the data`;
  }
  modelOf(options.model ?? defaultModel());
  return platform.host.prepareNetwork(listen, checkpoint);
}

/** Checks the options that do not depend on the data. @throws ConfigurationError */
function checkWithoutData(options: TrainOptions, platform: Platform) {
  checkTrainOptions(options);
  if (!platform.host) requireNoHost(options);
  const { backend = runOptions.backend.default, workers = runOptions.workers.default, colocate = false } = options;
  const { vectors = runOptions.vectors.default } = options;
  if (options.gradients === 'fp16-exact') requireEqualRounding(backend);
  const checkpoint = typeof options.checkpoint === 'string' ? { folder: options.checkpoint } : options.checkpoint;
  const listen = listenOf(options);
  if (colocate) requireColocation(backend, listen);
  const processes = listen ? workers + (colocate ? 1 : 0) : 1;
  const threads = options.threads ?? defaultThreads(backend, processes, platform.cores);
  requireThreads(backend, threads);
  platform.host?.requireCheckpointFolder(checkpoint);
  return { backend, workers, threads, vectors, colocate, checkpoint, listen };
}

/** @throws ConfigurationError if this process cannot compute besides its workers */
function requireColocation(backend: ComputeChoice, listen: ListenOptions | undefined): void {
  if (!listen) {
    throw configurationError`${optionName('colocate')}: requires ${optionName('workers')} or ${optionName('listen')}, because a single process computes anyway`;
  }
  if (backend === 'auto' || backend === 'cpu') return;
  throw configurationError`${optionName('backend')}: expected auto or cpu with ${optionName('colocate')}, which computes with the coordinator's own weights, got ${backend}`;
}

/** A run with only local workers gives them a token that nobody else has. */
export function listenOf({ listen = false, workers = 0 }: TrainOptions): ListenOptions | undefined {
  if (listen === false) return workers === 0 ? undefined : { port: 0, token: newSecret() };
  if (listen === true) return {};
  const { server, path, port, tls } = listen;
  if (!server && path !== undefined) {
    throw configurationError`${optionName('listen.path')}: requires ${optionName('listen.server')}`;
  }
  for (const [name, value] of Object.entries({ port, tls })) {
    if (!server || value === undefined) continue;
    throw configurationError`${optionName(`listen.${name}`)}: cannot be combined with ${optionName('listen.server')}, which has its own`;
  }
  return listen;
}

/** @throws ConfigurationError if the options require something that a page lacks */
function requireNoHost(options: TrainOptions): void {
  for (const name of ['listen', 'workers', 'colocate', 'checkpoint', 'transcript'] as const) {
    if (!options[name]) continue;
    throw configurationError`${optionName(name)}: expected none in a page, which has no sockets to listen on, processes or files`;
  }
}

/** @throws ConfigurationError if nodes of the tree would be rounded by a backend with different rounding */
function requireEqualRounding(backend: ComputeChoice): void {
  const equal: readonly ComputeChoice[] = ['auto', 'cpu', 'reference'];
  if (equal.includes(backend)) return;
  throw configurationError`${optionName('backend')}: expected ${equal.join(', ')} with ${optionName('gradients', 'fp16-exact')}, which promises equal bits on any workers, got ${backend}`;
}

function dataSummary(train: Dataset, reading: TrainingData['reading']): DataSummary {
  const { targets } = train;
  const standardization = targets.role === 'value' ? targets.standardization : undefined;
  const unit = reading?.type === 'text' && { unit: tokenUnits[reading.vocabulary.kind] };
  return { ...formatOf(train), outputs: targets.names.length, ...unit, ...(standardization && { standardization }) };
}

/** @param fit shape that a built-in model gets @throws ConfigurationError */
function modelOf(model: NonNullable<TrainOptions['model']>, fit?: Parameters<typeof resolveModel>[1]) {
  return namingOption('model', () => (typeof model === 'string' ? resolveModel(model, fit) : parseModel(model)));
}

/** The model of a training set. @throws ConfigurationError if its inputs or outputs differ */
function fittingModel(asked: NonNullable<TrainOptions['model']>, train: Dataset): Model {
  const { samples, targets } = train;
  const { names } = targets;
  const model = modelOf(asked, fitOf(samples, targets));
  const [values, inputs, outputs] = [sizeOfField(samples), sampleSize(model, targets), outputCount(model)];
  if (inputs !== values) {
    // A sample of a text also has the token after the last one that the model reads.
    const more = targets.role === 'next' ? 1 : 0;
    throw configurationError`${optionName('model')}: expected an input of ${values - more} values, as the samples have, got ${inputs - more}`;
  }
  if (outputs !== names.length) {
    throw configurationError`${optionName('model')}: expected ${names.length} outputs, one for each ${targetWords[targets.role].one}, got ${outputs}`;
  }
  const fault = fitFault(model, samples, targets);
  if (fault !== undefined) throw configurationError`${optionName('model')}: ${fault}`;
  return model;
}

/** The model of a run without a model: the one of the file to transfer from, or the default. */
function modelFor({ transfer, initialWeights }: TrainOptions, data: TrainingData): string {
  if (!transfer || !initialWeights) return defaultModel(data);
  return modelToTransfer(initialWeights, data.train.targets.names.length);
}

/** The initial weights of a file; undefined if the seed draws all. @throws ConfigurationError */
function initialOf(
  { transfer, initialWeights }: TrainOptions,
  model: Model,
  seed: number,
  reading: TrainingData['reading'],
) {
  if (transfer && !initialWeights) {
    throw configurationError`${optionName('transfer')}: requires ${optionName('initialWeights')}, whose layers it takes`;
  }
  if (!initialWeights) return undefined;
  if (transfer) return transferWeights(initialWeights, model, seed, reading);
  return { ...readInitialWeights(initialWeights, model, reading), transfer: undefined };
}

/** Number of leading parameters in the frozen layers. @throws ConfigurationError unless a layer remains to train */
export function frozenBy({ freeze = runOptions.freeze.default }: Pick<TrainOptions, 'freeze'>, model: Model): number {
  const layers = everyLayer(model).filter(({ parameters }) => parameters.length > 0);
  const first = layers[freeze];
  if (first) return first.parameters[0]!.offset;
  throw configurationError`${optionName('freeze')}: expected fewer than the ${layers.length} layers with parameters of ${model.name}, got ${freeze}`;
}

/** The augmentations in the order in which they apply. @throws ConfigurationError unless samples are pictures */
function augmentOf({ augment = [] }: TrainOptions, train: Dataset): readonly Augmentation[] {
  if (augment.length === 0) return [];
  namingOption('augment', () => createAugmenter(fieldOf(train.samples), augment, defaultSeed));
  return augmentations.filter((name) => augment.includes(name));
}

/** @throws ConfigurationError if the data cannot be used for training */
function checkData(data: TrainingData): TrainingData {
  const { train, test } = data;
  try {
    checkDataset(train, 'the training set');
    checkDataset(test, 'the test set');
    requireAlike(train, test, 'the test set');
    return data;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw configurationError`${optionName('data')}: ${error.message}`;
  }
}

/** The text that the model writes while it learns; undefined if it writes none. @throws ConfigurationError */
function writingOf(
  { sampleEvery, prompt }: TrainOptions,
  { train, reading }: TrainingData,
  seed: number,
): WritingSetup | undefined {
  const { targets } = train;
  if (targets.role !== 'next' || reading?.type !== 'text') {
    for (const [name, value] of Object.entries({ prompt, sampleEvery })) {
      if (value === undefined) continue;
      throw configurationError`${optionName(name as 'prompt')}: expected a text to train on, whose model can write, got other data`;
    }
    return undefined;
  }
  if (sampleEvery === 0) {
    if (prompt === undefined) return undefined;
    throw configurationError`${optionName('prompt')}: cannot be combined with ${optionName('sampleEvery', '0')}, which writes no text`;
  }
  const { vocabulary } = reading;
  const lines = targets.lines === true;
  const tokens = namingOption('prompt', () => promptTokens(vocabulary, lines, prompt));
  return { vocabulary, prompt: tokens, seed, lines };
}

interface HeldOut {
  /** The samples that are left to train on. */
  readonly train: Dataset;
  readonly validation?: Dataset;
  readonly choosing?: ValidationConfig;
  /** Fraction of the training samples that was taken out. */
  readonly heldOut?: number | undefined;
}

/** Takes the validation samples out of the training samples, or reads them. @throws ConfigurationError, DataError */
async function holdOut(options: TrainOptions, data: TrainingData, seed: number, platform: Platform): Promise<HeldOut> {
  const { keep = runOptions.keep.default, patience, monitor = 'loss' } = options;
  const { train } = data;
  const chooses = keep === 'best' || patience !== undefined;
  if (options.monitor !== undefined && !chooses) {
    throw configurationError`${optionName('monitor')}: requires ${optionName('keep', 'best')} or ${optionName('patience')}, which compare epochs by it`;
  }
  const asked = options.validation ?? (chooses ? defaultValidation : undefined);
  if (asked === undefined) return { train };
  const { role }: Monitor = monitors[monitor];
  if (role !== undefined && role !== train.targets.role) {
    const known = Object.entries<Monitor>(monitors)
      .filter(([, { role: only }]) => only === undefined || only === train.targets.role)
      .map(([name]) => name);
    throw configurationError`${optionName('monitor')}: expected a measure of ${targetWords[train.targets.role].many} (${known.join(', ')}), got ${monitor}`;
  }
  try {
    const { train: rest, validation } = await validationOf(asked, data, seed, platform);
    checkDataset(validation, 'the validation set');
    requireAlike(train, validation, 'the validation set');
    const { count: samples } = validation;
    return {
      train: rest,
      validation,
      heldOut: typeof asked === 'number' ? asked : undefined,
      choosing: { samples, monitor, keep, ...(patience !== undefined && { patience }) },
    };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw configurationError`${optionName('validation')}: ${error.message}`;
  }
}

async function validationOf(
  asked: number | string | Dataset,
  data: TrainingData,
  seed: number,
  platform: Platform,
): Promise<{ readonly train: Dataset; readonly validation: Dataset }> {
  if (typeof asked === 'object') return { train: data.train, validation: asked };
  if (typeof asked === 'string') return { train: data.train, validation: await platform.loadAlike(asked, data) };
  const { train, test } = splitDataset(data.train, { testFraction: asked, seed });
  // Movable, because only this run uses the copy.
  return { train: movableSamples(train), validation: test };
}

/**
 * @param what name of the other set, such as `the test set`
 * @throws DataError if a model of the training set cannot be evaluated on the other set
 */
function requireAlike(train: Dataset, test: Dataset, what: string): void {
  const [expected, got] = [train, test].map(describe);
  if (got !== expected) throw new DataError(`${what}: expected ${expected}, as in the training set, got ${got}`);
  const at = train.targets.names.findIndex((name, index) => name !== test.targets.names[index]);
  if (at < 0) return;
  const [name, other] = [train, test].map(({ targets }) => JSON.stringify(targets.names[at]));
  const which = `${targetWords[train.targets.role].one} ${at}`;
  throw new DataError(
    `${what}: expected ${name} as ${which}, as in the training set, got ${other}: give both the same names in one order`,
  );
}

/** A description such as `u8 samples of 28 x 28 x 1 and 10 classes`. */
function describe(data: Dataset): string {
  const { samples, targets } = data;
  const outputs = `${targets.names.length} ${targetWords[targets.role].many}`;
  return `${samples.dtype} samples of ${samples.shape.join(' x ')} and ${outputs}`;
}

/** Every option of a run: its names, meaning, values and default, and the options that exclude it. */
import type { Server } from 'node:http';
import {
  addressFileOptions,
  announceOptions,
  checkKinds,
  dataOptions,
  eitherKind,
  flagKind,
  fleetOptions,
  fractionBelowOneKind,
  fractionKind,
  functionKind,
  generalOptions,
  inGroup,
  joinKinds,
  type KindsOf,
  kindOf,
  libraryKinds,
  lineKind,
  listKind,
  needsFleet,
  nonNegativeKind,
  type OptionKind,
  type Options,
  objectKind,
  oneOfKind,
  option,
  positiveKind,
  refusedBeside,
  textKind,
  textLike,
  threads,
  tlsOptions,
  tokenOptions,
  type ValuesOf,
  vectors,
  vectorsDefault,
  wholeKind,
} from '@lockstep/command/options';
import { augmentations, type Dataset } from '@lockstep/data';
import {
  builtInModels,
  type Model,
  type MonitorName,
  monitors,
  type Schedule,
  type ScheduleType,
  schedules,
} from '@lockstep/nn';
import {
  type CheckpointInterval,
  type CheckpointOptions,
  defaultKeptCheckpoints,
  type SharedCheckpoints,
} from '@lockstep/record';
import { computeChoices } from '@lockstep/worker';
import * as v from 'valibot';
import { areClassWeights, balanced, type ClassWeights } from './class-weights.ts';
import {
  defaultEpochsText,
  defaultLearningRates,
  defaultModelText,
  defaultSampleSteps,
  defaultsOfSetting,
  dilocoDefaults,
  optimizerDefaults,
  optimizerTypes,
  outerLearningRate,
  recipeDefaults,
} from './defaults.ts';
import {
  type DiLoCoOptions,
  defaultHost,
  defaultPort,
  type ListenOptions,
  type OptimizerOptions,
  type TrainingData,
  type TrainOptions,
} from './options.ts';
import { promptKind } from './writing.ts';

/** Value of `data` for data that an owner uploads to the page. */
export const uploadedData = 'upload';

const training: Options[string]['without'] = { summary: 'which trains nothing' };
const serving: Options[string]['without'] = { single: 'which opens no socket', ...training };
const folder = '--checkpoint DIR, the folder that holds the checkpoints';
const inner = {
  oneOf: ['replicas', 'inner-steps'],
  expected: '--replicas M or --inner-steps H, because it applies only to inner steps',
} as const;

/** How a server listens. @param who needs a token unless the server is reachable only from this machine */
export function listenOptions(who: string) {
  return inGroup('network', {
    host: option(textKind, `address to listen on; any other than loopback requires a token from ${who}`, {
      placeholder: 'HOST',
      default: defaultHost,
      isEssential: true,
      library: 'listen.host',
    }),
    port: option(wholeKind({ to: 65_535 }), 'port to listen on', {
      defaultText: `${defaultPort}, or the next free one`,
      library: 'listen.port',
    }),
  });
}

const most = 2 ** 32;

/** On the command line, `50` means steps, and `5m` or `0.5m` minutes. */
const interval: OptionKind<CheckpointInterval> = {
  schema: v.union([
    v.strictObject({ steps: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(most)) }),
    v.strictObject({ minutes: v.pipe(v.number(), v.gtValue(0), v.maxValue(most)) }),
  ]),
  expected: '{ steps } or { minutes }, a number above 0',
  spelling: 'steps like 50, or minutes like 5m',
  placeholder: 'STEPS|MINUTES',
  read(text) {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(text) ?? [];
    return { [unit === 'm' ? 'minutes' : 'steps']: Number(amount) };
  },
};

/** On the command line, a text that looks like a number is a fraction. */
const validation: OptionKind<number | string> = {
  schema: v.union([v.pipe(v.number(), v.gtValue(0), v.ltValue(1)), textKind.schema]),
  expected: 'a fraction above 0 and below 1, or a path',
  placeholder: 'FRACTION|PATH',
  read: (text) => (/^[+-]?[\d.]+$/.test(text) ? Number(text) : text),
};

/** Fraction of the training samples that is held out if an option needs validation samples. */
export const defaultValidation = 0.1;

/** Values of one option, such as `lr=0.01,0.1`; the command checks them by that option's own kind. */
const swept: OptionKind<readonly string[]> = {
  schema: v.array(v.pipe(v.string(), v.regex(/^[a-z-]+=./))),
  expected: 'an option and its values, like lr=0.01,0.1',
  placeholder: 'OPTION=VALUE,…',
  read: (text) => [text],
};

/** Options for one run, which make no sense for several. */
const severalRuns: Options[string]['without'] = {
  checkpoint: 'which holds a single run',
  transcript: 'which records a single run',
  fleet: 'which leads a single run',
  save: 'which writes a single model',
  verify: 'which repeats a single run',
  stay: 'which waits for runs from the dashboard',
  [`data ${uploadedData}`]: 'whose page starts a single run',
  ...training,
};

export const runOptions = {
  ...inGroup('run', {
    single: option(flagKind, 'train in this process, without workers or sockets; gives the same weights', {
      isEssential: true,
      without: { 'data upload': 'whose page needs a socket' },
    }),
    epochs: option(wholeKind({ from: 1, to: 1_000_000 }), 'passes over the training set', {
      isEssential: true,
      defaultText: defaultEpochsText,
      library: 'epochs',
    }),
    steps: option(wholeKind({ from: 1 }), 'stop after N steps', { library: 'steps' }),
    batch: option(
      eitherKind(wholeKind({ from: 1, to: 1_000_000 }), oneOfKind(['auto'])),
      'global batch size: samples per step, or per inner step of a replica; auto fits it to the number of workers (--expect, or those that have joined by the start)',
      {
        defaultText: `${recipeDefaults('batch')}, or ${dilocoDefaults.batch} with replicas; smaller for small data sets, as is the learning rate`,
        isEssential: true,
        library: 'batch',
      },
    ),
    microbatch: option(
      wholeKind({ from: 1, to: 1_000_000 }),
      'samples in a microbatch, the smallest unit of work; must divide the batch',
      { defaultText: '16 to 64, or fewer to give every expected worker one', library: 'microbatch' },
    ),
    seed: option(wholeKind({ to: 2 ** 32 - 1 }), 'seed of the initial weights and of the order of samples', {
      default: 1,
      library: 'seed',
    }),
    keep: option(
      oneOfKind(['best', 'last']),
      'weights to keep at the end: those of the best epoch on the validation samples, or the last ones',
      { default: 'last', library: 'keep' },
    ),
    patience: option(
      wholeKind({ from: 1 }),
      'stop if N epochs in a row bring no improvement on the validation samples',
      { library: 'patience' },
    ),
    monitor: option(
      oneOfKind(Object.keys(monitors) as MonitorName[]),
      'validation measure by which --keep and --patience compare epochs',
      { defaultText: 'loss', library: 'monitor' },
    ),
    ...refusedBeside(severalRuns, {
      sweep: option(swept, 'train with each of these values of an option, one after another; several sweeps multiply', {
        isRepeatable: true,
        isEssential: true,
      }),
      seeds: option(wholeKind({ from: 1, to: 1_000 }), 'train with N seeds, from --seed upwards', {}),
      folds: option(
        wholeKind({ from: 2, to: 1_000 }),
        'k-fold: train N times, each time with another part of all samples as test data',
        {},
      ),
    }),
    'sample-every': option(
      wholeKind(),
      'models of text: steps from one text that the model writes to the next (0 for none), with its loss on a part of the held-out text',
      { defaultText: `${defaultSampleSteps}`, library: 'sampleEvery' },
    ),
    prompt: option(promptKind, 'models of text: beginning of those texts', {
      defaultText: 'none',
      library: 'prompt',
    }),
    'wait-for-start': option(flagKind, 'do not start training until someone presses Start on the dashboard', {
      library: 'listen.waitForStart',
      without: serving,
    }),
    stay: option(
      flagKind,
      'keep the server running after training, so that the owner can start another run from the dashboard',
      {
        library: 'listen.stay',
        without: serving,
      },
    ),
  }),
  ...inGroup('model', {
    lr: option(positiveKind, 'learning rate', {
      isEssential: true,
      defaultText: `${optimizerDefaults('learningRate', defaultLearningRates())}; with replicas ${outerLearningRate} for sgd and momentum`,
      library: 'optimizer.learningRate',
    }),
    optimizer: option(oneOfKind(optimizerTypes), 'optimizer', {
      defaultText: optimizerDefaults('type', 'momentum'),
      library: 'optimizer.type',
    }),
    momentum: option(fractionBelowOneKind, 'momentum factor', {
      defaultText: defaultsOfSetting('momentum'),
      library: 'optimizer.momentum',
    }),
    nesterov: option(flagKind, 'Nesterov momentum; always on for momentum with replicas', {
      library: 'optimizer.nesterov',
    }),
    'weight-decay': option(nonNegativeKind, 'weight decay: an L2 penalty, decoupled in adamw', {
      defaultText: optimizerDefaults('weightDecay', defaultsOfSetting('weightDecay')),
      library: 'optimizer.weightDecay',
    }),
    schedule: option(
      oneOfKind(Object.keys(schedules) as ScheduleType[]),
      'learning rate schedule (step divides the rate by 10 after each third of the run, cosine decays it to 0, or to a tenth for transformers)',
      { defaultText: recipeDefaults('schedule'), library: 'optimizer.schedule' },
    ),
    warmup: option(wholeKind(), 'warm-up: number of steps in which the learning rate rises linearly', {
      defaultText: `${optimizerDefaults('warmupSteps', '0')}, at most a tenth of the run`,
      library: 'optimizer.warmupSteps',
    }),
    clip: option(positiveKind, 'clip the gradient to this norm', {
      defaultText: optimizerDefaults('clipNorm', 'none'),
      library: 'optimizer.clipNorm',
    }),
    model: option(textKind, `a built-in model (${builtInModels.join(', ')}), or a JSON file with a list of layers`, {
      placeholder: 'NAME|FILE.json',
      defaultText: defaultModelText,
      isEssential: true,
      library: 'model',
      isNamedWithValue: true,
    }),
    summary: option(flagKind, "print the model's layers and parameters for this data, and exit", {
      without: { 'data upload': 'whose page takes the data of a run' },
    }),
    init: option(textKind, 'start from the weights in this file, which must fit the model unless --transfer is given', {
      placeholder: 'FILE.safetensors',
      library: 'initialWeights',
      isNamedWithValue: true,
      without: training,
    }),
    transfer: option(
      flagKind,
      "take only the layers whose shapes fit from --init, draw the others by the seed, and default to the file's model",
      { library: 'transfer', with: { oneOf: ['init'], expected: '--init FILE, whose layers it takes' } },
    ),
    freeze: option(wholeKind({ to: 256 }), 'keep the weights of the first N layers that have parameters', {
      default: 0 as number,
      library: 'freeze',
    }),
  }),
  ...inGroup('data', {
    ...refusedBeside({ [`data ${uploadedData}`]: 'whose page asks for it' }, dataOptions),
    data: option(
      textKind,
      `${dataOptions.data.help}; with ${uploadedData}, the owner uploads the data on the dashboard`,
      {
        placeholder: `PATH|${uploadedData}`,
        defaultText: dataOptions.data.defaultText,
        isEssential: true,
        library: 'data',
      },
    ),
    augment: option(
      listKind(oneOfKind(augmentations), `names from ${augmentations.join(', ')}, each once`, 'NAME,…', {
        mayRepeat: false,
      }),
      `change training pictures at random in each epoch: ${augmentations.join(', ')}, separated by commas`,
      { library: 'augment' },
    ),
    validation: option(
      validation,
      'samples for choosing an epoch, in addition to the test samples: a fraction of the training samples, drawn by the seed, or a file or folder like that of --data',
      {
        defaultText: `none, or ${defaultValidation} with --keep best or --patience`,
        library: 'validation',
      },
    ),
    'class-weights': option(
      textKind,
      `factor of the loss for the training samples of each class: ${balanced}, which gives each class the same total weight, or a file with a weight for each class name, as JSON or CSV`,
      { placeholder: `${balanced}|FILE`, defaultText: '1 for every class', library: 'classWeights', isEssential: true },
    ),
  }),
  ...inGroup('distribution', {
    workers: option(wholeKind({ to: 256 }), 'number of local worker processes to start', {
      default: 0 as number,
      isEssential: true,
      library: 'workers',
      without: { single: 'which computes in this process alone' },
    }),
    expect: option(
      wholeKind({ from: 1, to: 512 }),
      'number of workers that will join: the batch gets a microbatch for each, and slow workers take turns',
      { defaultText: 'none, or --workers with --batch auto', library: 'expect' },
    ),
    backend: option(oneOfKind(computeChoices), 'backend of the local workers', {
      default: 'auto',
      library: 'backend',
    }),
    threads: option(threads, 'compute threads in each local worker, and in this process if it computes', {
      defaultText: 'all cores with --single, otherwise an equal share of them',
      library: 'threads',
    }),
    vectors: option(vectors, 'bits of the vectors that compute in local workers, and in this process', {
      default: 'auto',
      defaultText: vectorsDefault,
      library: 'vectors',
    }),
    colocate: option(flagKind, 'let the coordinator compute a share too, without sending it over a socket', {
      library: 'colocate',
      without: { single: 'which opens no socket' },
    }),
    replicas: option(
      wholeKind({ from: 1, to: 1_024 }),
      'DiLoCo: number of replicas that take inner steps independently and are then averaged',
      { defaultText: `none, or ${dilocoDefaults.replicas} with --inner-steps`, library: 'diloco.replicas' },
    ),
    'inner-steps': option(
      wholeKind({ from: 1, to: 100_000 }),
      'DiLoCo: steps that a replica takes between two averages',
      {
        defaultText: `none, or ${dilocoDefaults.innerSteps} with --replicas`,
        library: 'diloco.innerSteps',
      },
    ),
    'inner-lr': option(positiveKind, 'learning rate of the inner steps', {
      defaultText: `${dilocoDefaults.learningRate}`,
      library: 'diloco.learningRate',
      with: inner,
    }),
    'inner-momentum': option(fractionBelowOneKind, 'momentum factor of the inner steps', {
      defaultText: `${dilocoDefaults.momentum}`,
      library: 'diloco.momentum',
      with: inner,
    }),
    gradients: option(
      oneOfKind(['exact', 'fp16-exact']),
      'gradient encoding (fp16-exact rounds every node of the reduction tree to half precision: half the bytes, and still the same weights on any workers)',
      { default: 'exact', library: 'gradients' },
    ),
    'verify-rate': option(
      fractionKind,
      'fraction of shards that the coordinator computes too, to catch wrong results; more of new workers',
      {
        default: 0.01,
        library: 'verifyRate',
        without: { single: 'which computes in this process alone' },
      },
    ),
    chaos: option(flagKind, 'fault injection: let the owner kill, freeze and slow down workers from the dashboard', {
      library: 'listen.faultInjection',
      without: serving,
    }),
  }),
  ...refusedBeside(
    serving,
    inGroup('network', {
      ...listenOptions('workers and viewers'),
      ...tokenOptions(
        'secret that workers need to join and viewers need to watch',
        'the environment variable LOCKSTEP_TOKEN; otherwise none on loopback, and a random one elsewhere',
        'listen.token',
      ),
      'public-view': option(flagKind, 'let anyone who can reach the port watch, without the token', {
        library: 'listen.publicView',
      }),
      ...tlsOptions,
      'allow-origin': option(originsKind(), 'origins of other pages that may join and watch, separated by commas', {
        library: 'listen.allowOrigins',
      }),
      ...fleetOptions,
      standby: option(
        flagKind,
        'with --fleet: wait while another coordinator leads the run, and take over when it is gone',
        {
          with: needsFleet,
        },
      ),
      ...announceOptions,
      ...addressFileOptions,
    }),
  ),
  ...refusedBeside(
    training,
    inGroup('output', {
      checkpoint: option(textKind, 'folder for checkpoints, from which an interrupted run can resume', {
        placeholder: 'DIR',
        isEssential: true,
        library: 'checkpoint.folder',
        without: { fleet: 'which stores checkpoints and resumes from the newest automatically' },
      }),
      'checkpoint-every': option(interval, 'interval between checkpoints, in steps or minutes', {
        defaultText: '1m',
        library: 'checkpoint.every',
        with: { oneOf: ['checkpoint', 'fleet'], expected: folder },
      }),
      'checkpoint-keep': option(wholeKind({ from: 1 }), 'number of the newest checkpoints to keep', {
        defaultText: `${defaultKeptCheckpoints}`,
        library: 'checkpoint.keep',
        without: { fleet: 'which keeps the last three' },
        with: { oneOf: ['checkpoint'], expected: folder },
      }),
      resume: option(flagKind, 'resume from the newest checkpoint in --checkpoint that fits this run', {
        isEssential: true,
        library: 'checkpoint.resume',
        without: { fleet: 'which stores checkpoints and resumes from the newest automatically' },
        with: { oneOf: ['checkpoint'], expected: folder },
      }),
      transcript: option(
        textKind,
        'file for a signed record of who computed each shard, with which anyone can audit the run',
        {
          placeholder: 'FILE',
          library: 'transcript',
          isNamedWithValue: true,
        },
      ),
      verify: option(flagKind, 'train again in one process afterwards and compare the weights'),
      save: option(textKind, 'file for the trained model: ONNX if the name ends with .onnx, otherwise safetensors', {
        placeholder: 'FILE',
        isEssential: true,
        library: 'listen.saveTo',
      }),
      report: option(textKind, 'file for the report', { placeholder: 'FILE.json' }),
    }),
  ),
  ...generalOptions,
} as const satisfies Options;

/** The values of a run's command line. */
export type RunValues = ValuesOf<typeof runOptions>;

/** The commands that train; they differ in their default number of workers. */
export const runCommands = {
  start: {
    name: 'start',
    args: '[options]',
    summary: 'Trains a network on this machine, on MNIST by default: one coordinator and local worker processes.',
    options: { ...runOptions, workers: { ...runOptions.workers, default: 2 } },
  },
  coordinator: {
    name: 'coordinator',
    args: '[options]',
    summary: 'Waits for workers to join, from this machine or others, and trains with them.',
    options: runOptions,
  },
} as const;

function originsKind(): OptionKind<readonly string[]> {
  const origin = textLike('an origin', /^https?:\/\/[^/]+$/, 'URL');
  const isOrigin = (value: string): boolean => URL.canParse(value) && new URL(value).origin === value;
  return {
    ...listKind(
      { ...origin, schema: v.pipe(origin.schema, v.check(isOrigin)) },
      'a list of origins like https://page.example',
      'URL,…',
    ),
    spelling: 'origins like https://page.example',
  };
}

const certificate = objectKind<{ readonly cert: string; readonly key: string }>(
  '{ cert, key }, both PEM texts',
  (value) => ['cert', 'key'].every((part) => typeof (value as Record<string, unknown>)[part] === 'string'),
);
/** Whether to listen with TLS, and under which certificate. */
export const tlsKind = eitherKind(flagKind, certificate);

/** Checked by the schema of the optimizer that has the setting. */
const setting = kindOf<number>('a number', () => true);

const { 'listen.tls.cert': _cert, 'listen.tls.key': _key, ...asTyped } = libraryKinds(runOptions);

/** The data of a run: a path, or samples in memory. */
export const dataKind: OptionKind<string | TrainingData> = {
  ...eitherKind(
    textKind,
    objectKind<TrainingData>('{ train, test }', (value) => 'train' in value && 'test' in value),
  ),
  advice(value) {
    const isDataset = typeof value === 'object' && value !== null && 'samples' in value && 'targets' in value;
    return isDataset ? ': splitDataset(data) cuts one data set into both' : '';
  },
};

export const modelFileKind = objectKind<Uint8Array>(
  'the bytes of a model file',
  (value) => value instanceof Uint8Array,
);

/** The kinds of the options of `train`: those that a command line can give, and those only for programs. */
const kinds = {
  ...asTyped,
  data: dataKind,
  model: eitherKind(textKind, objectKind<Model>('a model as an object')),
  initialWeights: modelFileKind,
  optimizer: oneOfKind(optimizerTypes),
  'optimizer.schedule': eitherKind(runOptions.schedule.kind, objectKind<Schedule>('a schedule as an object')),
  'optimizer.beta1': setting,
  'optimizer.beta2': setting,
  'optimizer.epsilon': setting,
  'optimizer.alpha': setting,
  diloco: flagKind,
  listen: flagKind,
  'listen.tls': tlsKind,
  'listen.server': objectKind<Server>('an http.Server', (value) => 'listeners' in value),
  'listen.path': textLike('a path like /lockstep', /^(\/[\w.~-]+)+$/, 'PATH'),
  'listen.workerCommand': lineKind(256),
  checkpoint: textKind,
  'checkpoint.store': objectKind<SharedCheckpoints>('what a fleet gives', (value) =>
    ['open', 'list', 'write'].every((method) => method in value),
  ),
  classWeights: eitherKind(
    oneOfKind([balanced]),
    objectKind<ClassWeights>('an object of numbers of at least 0 by class name', areClassWeights),
  ),
  validation: eitherKind(
    runOptions.validation.kind,
    objectKind<Dataset>('a data set', (value) => 'samples' in value && 'targets' in value),
  ),
  onStep: functionKind<TrainOptions['onStep']>(),
  onEpoch: functionKind<TrainOptions['onEpoch']>(),
  signal: joinKinds.signal,
} as const satisfies KindsOf<TrainOptions> &
  KindsOf<OptimizerOptions, 'optimizer.'> &
  KindsOf<DiLoCoOptions, 'diloco.'> &
  KindsOf<ListenOptions, 'listen.'> &
  KindsOf<CheckpointOptions, 'checkpoint.'>;

/** @throws ConfigurationError if an option of `train` is unknown, or its value not of its kind */
export function checkTrainOptions(options: object): void {
  checkKinds(options, kinds);
}

/** Every option of a run: its names, meaning, values and default, and the options that exclude it. */
import type { Server } from 'node:http';
import {
  addressFileOptions,
  announceOptions,
  checkOptions,
  dataOptions,
  either,
  flag,
  fleetOptions,
  fraction,
  fractionBelowOne,
  generalOptions,
  inGroup,
  joinKinds,
  type Kind,
  type KindsOf,
  kindOf,
  libraryKinds,
  line,
  list,
  nonNegative,
  type Options,
  object,
  oneOf,
  option,
  positive,
  refusedBeside,
  text,
  textLike,
  threads,
  tlsOptions,
  tokenOptions,
  type ValuesOf,
  whole,
} from '@lockstep/command/options';
import { builtInModels, type Model, type Schedule, type ScheduleType, schedules } from '@lockstep/nn';
import { computeChoices } from '@lockstep/worker';
import * as v from 'valibot';
import {
  defaultEpochsText,
  defaultLearningRates,
  defaultsOf,
  defaultsOfSetting,
  dilocoDefaults,
  optimizerTypes,
  outerLearningRate,
} from './defaults.ts';
import {
  type CheckpointInterval,
  type CheckpointOptions,
  type DiLoCoOptions,
  defaultHost,
  defaultPort,
  type ListenOptions,
  type OptimizerOptions,
  type SharedCheckpoints,
  type TrainingData,
  type TrainOptions,
} from './options.ts';

/** Value of `data` for data that an owner uploads to the page. */
export const uploadedData = 'upload';

const training: Options[string]['without'] = { summary: 'which trains nothing' };
const serving: Options[string]['without'] = { single: 'which opens no socket', ...training };
const fleet = { oneOf: ['fleet'], expected: '--fleet URL, whose option it is' } as const;
const folder = '--checkpoint DIR, the folder of the checkpoints';
const inner = {
  oneOf: ['replicas', 'inner-steps'],
  expected: '--replicas M or --inner-steps H, whose inner steps it is of',
} as const;

/** How a server listens. @param who needs a token unless the server is reachable only from this machine */
export function listenOptions(who: string) {
  return inGroup('network', {
    host: option(text, `address to listen on; any but loopback asks ${who} for a token`, {
      placeholder: 'HOST',
      default: defaultHost,
      library: 'listen.host',
    }),
    port: option(whole({ to: 65_535 }), 'port to listen on', {
      defaultText: `${defaultPort}, or the next free one`,
      library: 'listen.port',
    }),
  });
}

const most = 2 ** 32;

/** On the command line, `50` means steps, and `5m` or `0.5m` minutes. */
const interval: Kind<CheckpointInterval> = {
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

export const runOptions = {
  ...inGroup('run', {
    single: option(flag, 'train in this process, without workers or sockets: the same weights', {
      without: { 'data upload': 'whose page needs a socket' },
    }),
    epochs: option(whole({ from: 1, to: 1_000_000 }), 'passes over the training set', {
      defaultText: defaultEpochsText,
      library: 'epochs',
    }),
    steps: option(whole({ from: 1 }), 'stop after N steps', { library: 'steps' }),
    batch: option(
      either(whole({ from: 1, to: 1_000_000 }), oneOf(['auto'])),
      'samples in a step, over all workers, or in an inner step of one replica; auto fits --expect, or with --wait-for-start the workers that are there then',
      {
        defaultText: `${defaultsOf('batch')}; on small data less, and then the default learning rate too; ${dilocoDefaults.batch} with replicas`,
        library: 'batch',
      },
    ),
    microbatch: option(
      whole({ from: 1, to: 1_000_000 }),
      'samples that a worker computes at least; divides the batch',
      { defaultText: '16 to 64, or less if workers are expected', library: 'microbatch' },
    ),
    seed: option(whole({ to: 2 ** 32 - 1 }), 'fixes the initial weights and the order of samples', {
      default: 1,
      library: 'seed',
    }),
    'wait-for-start': option(flag, 'begin when the run is started from the dashboard', {
      library: 'listen.waitForStart',
      without: serving,
    }),
    stay: option(flag, 'keep serving the dashboard after training, which can begin another run', {
      library: 'listen.stay',
      without: serving,
    }),
  }),
  ...inGroup('model', {
    lr: option(positive, 'learning rate', {
      defaultText: `${defaultLearningRates()}; with replicas ${outerLearningRate} for sgd and momentum`,
      library: 'optimizer.learningRate',
    }),
    optimizer: option(oneOf(optimizerTypes), 'optimizer', { default: 'momentum', library: 'optimizer.type' }),
    momentum: option(fractionBelowOne, 'momentum factor', {
      defaultText: defaultsOfSetting('momentum'),
      library: 'optimizer.momentum',
    }),
    nesterov: option(flag, 'Nesterov momentum, which momentum has with replicas anyway', {
      library: 'optimizer.nesterov',
    }),
    'weight-decay': option(nonNegative, 'weight decay: an L2 penalty, decoupled in adamw', {
      defaultText: defaultsOfSetting('weightDecay'),
      library: 'optimizer.weightDecay',
    }),
    schedule: option(
      oneOf(Object.keys(schedules) as ScheduleType[]),
      'learning rate schedule (step divides it by 10 after each third of the run, cosine ends at 0)',
      { defaultText: defaultsOf('schedule'), library: 'optimizer.schedule' },
    ),
    warmup: option(whole(), 'warm-up: steps in which the learning rate rises linearly', {
      default: 0,
      library: 'optimizer.warmupSteps',
    }),
    clip: option(positive, 'largest norm of a gradient; a longer one is scaled down to it', {
      library: 'optimizer.clipNorm',
    }),
    model: option(text, `a built-in model (${builtInModels.join(', ')}), or a layer list in a file`, {
      placeholder: 'NAME|FILE.json',
      default: 'mlp',
      library: 'model',
      isNamedWithValue: true,
    }),
    summary: option(flag, "print the model's layers and parameters, as they are for --data, and train nothing", {
      without: { 'data upload': 'whose page takes the data of a run' },
    }),
    init: option(text, 'begin with the weights of this file, of the same model', {
      placeholder: 'FILE.safetensors',
      library: 'initialWeights',
      isNamedWithValue: true,
      without: training,
    }),
  }),
  ...inGroup('data', {
    ...refusedBeside({ [`data ${uploadedData}`]: 'whose page asks for it' }, dataOptions),
    data: option(text, `${dataOptions.data.help}; with ${uploadedData} the page takes them, and starts the run`, {
      placeholder: `PATH|${uploadedData}`,
      defaultText: dataOptions.data.defaultText,
      library: 'data',
    }),
  }),
  ...inGroup('distribution', {
    workers: option(whole({ to: 256 }), 'local Node workers to start', {
      default: 0 as number,
      library: 'workers',
      without: { single: 'which computes in this process alone' },
    }),
    expect: option(
      whole({ from: 1, to: 512 }),
      'workers to come, who all take part: batch and microbatch are such that each gets one, and slow ones take turns',
      { defaultText: 'none, or --workers with --batch auto', library: 'expect' },
    ),
    backend: option(oneOf(computeChoices), 'backend of the local workers', {
      default: 'auto',
      library: 'backend',
    }),
    threads: option(threads, 'compute threads in each local worker, and in this process if it computes', {
      defaultText: 'all cores with --single, else the cores shared out',
      library: 'threads',
    }),
    colocate: option(flag, 'this process computes too, beside its workers: nothing of its share travels', {
      library: 'colocate',
      without: { single: 'which opens no socket' },
    }),
    replicas: option(
      whole({ from: 1, to: 1_024 }),
      'DiLoCo: replicas that take inner steps by themselves, whose mean is a step',
      { defaultText: `none, or ${dilocoDefaults.replicas} with --inner-steps`, library: 'diloco.replicas' },
    ),
    'inner-steps': option(whole({ from: 1, to: 100_000 }), 'DiLoCo: steps of a replica between two exchanges', {
      defaultText: `none, or ${dilocoDefaults.innerSteps} with --replicas`,
      library: 'diloco.innerSteps',
    }),
    'inner-lr': option(positive, 'learning rate of the inner steps', {
      defaultText: `${dilocoDefaults.learningRate}`,
      library: 'diloco.learningRate',
      with: inner,
    }),
    'inner-momentum': option(fractionBelowOne, 'momentum factor of the inner steps', {
      defaultText: `${dilocoDefaults.momentum}`,
      library: 'diloco.momentum',
      with: inner,
    }),
    gradients: option(
      oneOf(['exact', 'fp16-exact']),
      'how gradients travel: fp16-exact rounds each node of the reduction tree to half precision, the same bits on any workers in half of the bytes',
      { default: 'exact', library: 'gradients' },
    ),
    'verify-rate': option(
      fraction,
      'share of the shards that the coordinator computes as well, so that a wrong result is found',
      { default: 0.01, library: 'verifyRate', without: { single: 'which computes in this process alone' } },
    ),
    chaos: option(flag, 'fault injection: the dashboard can kill, freeze and slow workers', {
      library: 'listen.faultInjection',
      without: serving,
    }),
  }),
  ...refusedBeside(
    serving,
    inGroup('network', {
      ...listenOptions('workers and viewers'),
      ...tokenOptions(
        'secret that workers need to join, and viewers to watch',
        'LOCKSTEP_TOKEN of the environment; else none on loopback, or one made for this run',
        'listen.token',
      ),
      'public-view': option(flag, 'every client that reaches the port may watch, without the token', {
        library: 'listen.publicView',
      }),
      ...tlsOptions,
      'allow-origin': option(originsKind(), 'origins of other pages that may join and watch, separated by commas', {
        library: 'listen.allowOrigins',
      }),
      ...fleetOptions,
      standby: option(flag, 'with --fleet: wait while the run has a coordinator, and go on when that is gone', {
        with: fleet,
      }),
      ...announceOptions,
      ...addressFileOptions,
    }),
  ),
  ...refusedBeside(
    training,
    inGroup('output', {
      checkpoint: option(text, 'folder for checkpoints, from which a run that was cut off goes on', {
        placeholder: 'DIR',
        library: 'checkpoint.folder',
        without: { fleet: 'which keeps the checkpoints and goes on from the newest' },
      }),
      'checkpoint-every': option(interval, 'steps like 50, or minutes like 5m, between two checkpoints', {
        defaultText: '1m',
        library: 'checkpoint.every',
        with: { oneOf: ['checkpoint', 'fleet'], expected: folder },
      }),
      resume: option(flag, 'go on from the newest checkpoint in --checkpoint that fits this run', {
        library: 'checkpoint.resume',
        without: { fleet: 'which keeps the checkpoints and goes on from the newest' },
        with: { oneOf: ['checkpoint'], expected: folder },
      }),
      verify: option(flag, 'train again in one process afterwards, and compare the weights'),
      save: option(text, 'where to write the trained model: as ONNX if the name ends with .onnx, else as safetensors', {
        placeholder: 'FILE',
        library: 'listen.saveTo',
      }),
      report: option(text, 'where to write the report', { placeholder: 'FILE.json' }),
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
    summary: 'Trains a network on MNIST on this machine: one coordinator and some worker processes.',
    options: { ...runOptions, workers: { ...runOptions.workers, default: 2 } },
  },
  coordinator: {
    name: 'coordinator',
    args: '[options]',
    summary: 'Waits for workers, on this machine or others, and trains with those that join.',
    options: runOptions,
  },
} as const;

function originsKind(): Kind<readonly string[]> {
  const origin = textLike('an origin', /^https?:\/\/[^/]+$/, 'URL');
  const isOrigin = (value: string): boolean => URL.canParse(value) && new URL(value).origin === value;
  return {
    ...list(
      { ...origin, schema: v.pipe(origin.schema, v.check(isOrigin)) },
      'a list of origins like https://page.example',
      'URL,…',
    ),
    spelling: 'origins like https://page.example',
  };
}

const certificate = object<{ readonly cert: string; readonly key: string }>('{ cert, key }, both PEM texts', (value) =>
  ['cert', 'key'].every((part) => typeof (value as Record<string, unknown>)[part] === 'string'),
);
/** Whether to listen with TLS, and under which certificate. */
export const tlsKind = either(flag, certificate);

/** Checked by the schema of the optimizer that has the setting. */
const setting = kindOf<number>('a number', () => true);

const { 'listen.tls.cert': _cert, 'listen.tls.key': _key, ...asTyped } = libraryKinds(runOptions);

/** The kinds of the options of `train`: those that a command line can give, and those only for programs. */
const kinds = {
  ...asTyped,
  data: {
    ...either(
      text,
      object<TrainingData>('{ train, test }', (value) => 'train' in value && 'test' in value),
    ),
    advice(value) {
      const isDataset = typeof value === 'object' && value !== null && 'samples' in value && 'targets' in value;
      return isDataset ? ': splitDataset(data) cuts one data set into both' : '';
    },
  },
  model: either(text, object<Model>('a model as an object')),
  initialWeights: object<Uint8Array>('the bytes of a model file', (value) => value instanceof Uint8Array),
  optimizer: oneOf(optimizerTypes),
  'optimizer.schedule': either(runOptions.schedule.kind, object<Schedule>('a schedule as an object')),
  'optimizer.beta1': setting,
  'optimizer.beta2': setting,
  'optimizer.epsilon': setting,
  'optimizer.alpha': setting,
  diloco: flag,
  listen: flag,
  'listen.tls': tlsKind,
  'listen.server': object<Server>('an http.Server', (value) => 'listeners' in value),
  'listen.path': textLike('a path like /lockstep', /^(\/[\w.~-]+)+$/, 'PATH'),
  'listen.workerCommand': line(256),
  checkpoint: text,
  'checkpoint.store': object<SharedCheckpoints>('what a fleet gives', (value) =>
    ['open', 'list', 'write'].every((method) => method in value),
  ),
  onStep: kindOf<TrainOptions['onStep']>('a function', (value) => typeof value === 'function'),
  signal: joinKinds.signal,
} as const satisfies KindsOf<TrainOptions> &
  KindsOf<OptimizerOptions, 'optimizer.'> &
  KindsOf<DiLoCoOptions, 'diloco.'> &
  KindsOf<ListenOptions, 'listen.'> &
  KindsOf<CheckpointOptions, 'checkpoint.'>;

/** @throws ConfigurationError if an option of `train` is unknown, or its value not of its kind */
export function checkTrainOptions(options: object): void {
  checkOptions(options, kinds);
}

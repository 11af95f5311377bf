/** The options of `npm start` and `npm run coordinator`. */
import {
  addressFileOptions,
  announceOptions,
  choice,
  commandText,
  dataOptions,
  Expected,
  fleetOptions,
  fraction,
  generalOptions,
  numberFrom,
  type Option,
  positiveNumber,
  switchOption,
  textOption,
  tlsOptions,
  tokenOptions,
  type ValuesOf,
  wholeNumber,
  withDefaultText,
  withFallback,
} from '@lockstep/command';
import { builtInModels, type ScheduleType, schedules } from '@lockstep/nn';
import {
  defaultEpochsText,
  defaultHost,
  defaultLearningRates,
  defaultPort,
  defaultsOf,
  defaultsOfSetting,
  dilocoDefaults,
  gradientFormats,
  optimizerTypes,
  optionBounds,
  outerLearningRate,
  uploadedData,
} from '@lockstep/train/command-line';
import { computeChoices } from '@lockstep/worker';
import { intervalOption } from './interval-option.ts';

const modelNames = builtInModels.join(', ');

const shared = {
  single: switchOption('train in this process, without workers or sockets: the same weights'),
  epochs: withDefaultText(wholeNumber('passes over the training set', optionBounds.epochs), defaultEpochsText),
  steps: wholeNumber('stop after N steps', optionBounds.steps),
  batch: withDefaultText(
    batchOption(
      'samples in a step, over all workers, or of one replica in an inner step; auto fits --expect, or with --wait-for-start the workers that are there then',
    ),
    `${defaultsOf('batch')}; on small data less, and then the default learning rate too; ${dilocoDefaults.batch} with replicas`,
  ),
  expect: withDefaultText(
    wholeNumber(
      'workers to come, who all take part: batch and microbatch are such that each gets one, and slow ones take turns',
      optionBounds.expect,
    ),
    'none, or --workers with --batch auto',
  ),
  microbatch: withDefaultText(
    wholeNumber('samples that a worker computes at least; divides the batch', optionBounds.microbatch),
    '16 to 64, or less where workers are expected',
  ),
  lr: withDefaultText(
    positiveNumber('learning rate'),
    `${defaultLearningRates()}; with replicas ${outerLearningRate} for sgd and momentum`,
  ),
  optimizer: withFallback(choice(optimizerTypes, 'optimizer'), 'momentum'),
  momentum: withDefaultText(numberFrom('momentum factor', { from: 0, below: 1 }), defaultsOfSetting('momentum')),
  nesterov: switchOption('Nesterov momentum, which momentum has with replicas anyway'),
  'weight-decay': withDefaultText(
    numberFrom('weight decay: an L2 penalty, decoupled in adamw', { from: 0 }),
    defaultsOfSetting('weightDecay'),
  ),
  schedule: withDefaultText(
    choice(
      Object.keys(schedules) as ScheduleType[],
      'learning rate schedule (step divides it by 10 after each third of the run, cosine ends at 0)',
    ),
    defaultsOf('schedule'),
  ),
  warmup: withFallback(wholeNumber('warm-up: steps in which the learning rate rises linearly'), 0),
  clip: positiveNumber('largest norm of a gradient; a longer one is scaled down to it'),
  model: withFallback(
    textOption('NAME|FILE.json', `a built-in model (${modelNames}), or a layer list in a file`),
    'mlp',
  ),
  summary: switchOption("print the model's layers and parameters, as they are for --data, and train nothing"),
  ...dataOptions,
  data: {
    ...dataOptions.data,
    placeholder: `PATH|${uploadedData}`,
    description: `${dataOptions.data.description}; with ${uploadedData} the page takes them, and starts the run`,
  },
  init: textOption('FILE.safetensors', 'begin with the weights of this file, of the same model'),
  seed: withFallback(wholeNumber('fixes the initial weights and the order of samples', optionBounds.seed), 1),
  backend: withFallback(choice(computeChoices, 'what the local workers compute on'), 'auto'),
  threads: withDefaultText(
    wholeNumber('compute threads in each local worker, and in this process where it computes', optionBounds.threads),
    'all cores with --single, else the cores shared out',
  ),
  colocate: switchOption('this process computes too, beside its workers: nothing of its share travels'),
  replicas: withDefaultText(
    wholeNumber('DiLoCo: replicas that take inner steps by themselves, whose mean is a step', optionBounds.replicas),
    `none, or ${dilocoDefaults.replicas} with --inner-steps`,
  ),
  'inner-steps': withDefaultText(
    wholeNumber('DiLoCo: steps of a replica between two exchanges', optionBounds.innerSteps),
    `none, or ${dilocoDefaults.innerSteps} with --replicas`,
  ),
  'inner-lr': withDefaultText(positiveNumber('learning rate of the inner steps'), `${dilocoDefaults.learningRate}`),
  'inner-momentum': withDefaultText(
    numberFrom('momentum factor of the inner steps', { from: 0, below: 1 }),
    `${dilocoDefaults.momentum}`,
  ),
  gradients: withFallback(
    choice(
      gradientFormats,
      'how gradients travel: fp16-exact rounds each node of the reduction tree to half precision, the same bits on any workers in half of the bytes',
    ),
    'exact',
  ),
  'verify-rate': withFallback(
    fraction('part of the shards that the coordinator computes as well, so that a wrong result is found'),
    0.01,
  ),
  host: withFallback(
    textOption('HOST', 'address to listen on; any but loopback asks workers and viewers for a token'),
    defaultHost,
  ),
  port: withDefaultText(wholeNumber('port to listen on', optionBounds.port), `${defaultPort}, or the next free one`),
  ...tokenOptions(
    'secret that workers need to join, and viewers to watch',
    'LOCKSTEP_TOKEN of the environment; else none on loopback, or one made for this run',
  ),
  'public-view': switchOption('every client that reaches the port may watch, without the token'),
  ...tlsOptions,
  'allow-origin': origins('origins of other pages that may join and watch, separated by commas'),
  'wait-for-start': switchOption('begin when the run is started from the dashboard'),
  chaos: switchOption('fault injection: the dashboard can kill, freeze and slow workers'),
  stay: switchOption('keep serving the dashboard after training, which can begin another run'),
  checkpoint: textOption('DIR', 'folder for checkpoints, from which a run that was cut off goes on'),
  'checkpoint-every': intervalOption('steps like 50, or minutes like 5m, between two checkpoints'),
  resume: switchOption('go on from the newest checkpoint in --checkpoint that fits this run'),
  ...fleetOptions,
  standby: switchOption('with --fleet: wait where the run has a coordinator, and go on when that is gone'),
  ...announceOptions,
  verify: switchOption('train again in one process afterwards, and compare the weights'),
  save: textOption(
    'FILE',
    'where to write the trained model: as ONNX if the name ends with .onnx, else as safetensors',
  ),
  report: textOption('FILE.json', 'where to write the report'),
  ...addressFileOptions,
  ...generalOptions,
};

function batchOption(description: string): Option<number | 'auto' | undefined> {
  const number = wholeNumber(description, optionBounds.batch);
  const parse = (text: string): number | 'auto' | undefined => {
    if (text === 'auto') return text;
    try {
      return number.parse(text);
    } catch (error) {
      throw error instanceof Expected ? new Expected(`${error.message}, or auto`) : error;
    }
  };
  return { ...number, placeholder: 'N|auto', parse };
}

function origins(description: string): Option<readonly string[] | undefined> {
  const parse = (text: string): readonly string[] =>
    text.split(',').map((origin) => {
      const isOrigin = /^https?:\/\/[^/]+$/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
      if (!isOrigin) throw new Expected('origins like https://page.example');
      return origin;
    });
  return { placeholder: 'URL,…', description, fallback: undefined, parse };
}

const workers = (fallback: number) =>
  withFallback(wholeNumber('local Node workers to start', optionBounds.workers), fallback);

/** The commands differ in how many workers they start by default. */
export const commands = {
  start: {
    usage: commandText('start', '[options]'),
    summary: 'Trains a network on MNIST on this machine: one coordinator and some worker processes.',
    options: { workers: workers(2), ...shared },
  },
  coordinator: {
    usage: commandText('coordinator', '[options]'),
    summary: 'Waits for workers, on this machine or others, and trains with those that join.',
    options: { workers: workers(0), ...shared },
  },
} as const;

export type CommandName = keyof typeof commands;
export type CoordinatorOptions = ValuesOf<(typeof commands)['start']['options']>;

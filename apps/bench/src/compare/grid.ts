/** The grid of a comparison: models at batch sizes, and the data that their runs train on. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { usageFailure } from '@lockstep/command';
import { type Dataset, sampleSize } from '@lockstep/data';
import { type Model, parameterCount, resolveModel } from '@lockstep/nn';
import { writeMnistFiles } from '../mnist.ts';
import type { CompareOptions } from '../options.ts';

/** One training, identical for one process, workers and peers. */
export interface Training {
  /** `mlp, batch 512`. */
  readonly name: string;
  /** The value of `--model`. */
  readonly modelOption: string;
  readonly model: Model;
  readonly parameters: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly steps: number;
}

const wideModelFile = relative(process.cwd(), fileURLToPath(new URL('../../models/mlp-1024.json', import.meta.url)));

type Point = Pick<Training, 'batch' | 'learningRate' | 'steps'> & { readonly model: string };

/**
 * From the batch size that must lose to one process to those that gain most. Each point reaches 80 % within its steps,
 * and is mostly warm after two thirds of them: small batches have short steps, and during the first hundreds the engine
 * compiles on the core that a second thread or worker would use. From batch 512 on, a perceptron is measured after its
 * first epoch: by then workers hold their samples, as the peers do from the start.
 */
export const defaultPoints: readonly Point[] = [
  { model: 'mlp', batch: 64, learningRate: 0.1, steps: 700 },
  { model: 'mlp', batch: 128, learningRate: 0.15, steps: 440 },
  { model: 'mlp', batch: 512, learningRate: 0.3, steps: 190 },
  { model: 'mlp', batch: 2048, learningRate: 0.35, steps: 65 },
  { model: wideModelFile, batch: 512, learningRate: 0.3, steps: 88 },
  { model: 'cnn', batch: 256, learningRate: 0.15, steps: 36 },
];

/** @throws CommandFailure with exit code 2 */
export function gridOf(options: Pick<CompareOptions, 'model' | 'batch' | 'steps' | 'lr'>): readonly Training[] {
  const { model: models, batch: batches, steps, lr } = options;
  const chosen =
    models === undefined && batches === undefined
      ? defaultPoints
      : (models ?? ['mlp']).flatMap((model) => (batches ?? [128]).map((batch) => pointFor(model, batch)));
  return chosen.map((point) =>
    trainingOf({ ...point, steps: steps ?? point.steps, learningRate: lr ?? point.learningRate }),
  );
}

/** The default point of this model and batch, or enough steps for about 30,000 images. */
function pointFor(model: string, batch: number): Point {
  const known = defaultPoints.find((point) => point.model === model && point.batch === batch);
  if (known) return known;
  const steps = Math.min(400, Math.max(20, Math.round(30_000 / batch)));
  return { model, batch, learningRate: batch >= 1024 ? 0.5 : batch >= 256 ? 0.3 : 0.1, steps };
}

function trainingOf({ model: modelOption, batch, learningRate, steps }: Point): Training {
  const model = readModel(modelOption);
  const name = `${model.name}, batch ${batch}`;
  return { name, modelOption, model, parameters: parameterCount(model), batch, learningRate, steps };
}

function readModel(nameOrFile: string): Model {
  try {
    return resolveModel(nameOrFile.endsWith('.json') ? readFileSync(nameOrFile, 'utf8') : nameOrFile);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw usageFailure(`--model: expected a file that can be read, got ${nameOrFile}`);
    throw usageFailure(`--model ${nameOrFile}: ${message}`);
  }
}

/** Worker counts measured by default: as many as the processes of DDP. A single worker takes as long as one process. */
const defaultWorkers = [2] as const;

/** Worker counts to measure: each number to 4, then doubled, and the greatest; the default if none is requested. */
export function workerCounts(most: number | undefined): readonly number[] {
  if (most === undefined) return defaultWorkers;
  const counts: number[] = [];
  for (let count = 1; count <= most; count = count < 4 ? count + 1 : count * 2) counts.push(count);
  return counts.at(-1) === most ? counts : [...counts, most];
}

/** Evaluating the whole MNIST test set takes half a second per run of the larger models. */
export const evaluatedImages = 1_000;

/**
 * Half of MNIST: workers hold the samples after one epoch, as peers do from the start, and no figure covers the time
 * before.
 */
export const trainedImages = 30_000;

/** The first samples of a training set, enough for each batch of the grid. */
export function runDataOf(train: Dataset, grid: readonly Pick<Training, 'batch'>[]): Dataset {
  const count = Math.min(train.count, Math.max(trainedImages, ...grid.map(({ batch }) => batch)));
  const samples = train.samples.subarray(0, count * sampleSize(train));
  const { targets } = train;
  if (targets.type !== 'classes') throw new Error('a comparison: expected samples with classes, got values');
  return { ...train, count, samples, targets: { ...targets, labels: targets.labels.subarray(0, count) } };
}

/** Writes the samples into `folder`, for the option `--data` of a run. */
export async function writeRunData(train: Dataset, folder: string): Promise<void> {
  const testCount = Math.min(evaluatedImages, train.count);
  await writeMnistFiles(train, { trainCount: train.count, testCount }, folder);
}

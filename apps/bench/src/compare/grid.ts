/** The grid of a comparison: models at batch sizes, the data that their runs train on, and what peers do with them. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { usageFailure } from '@lockstep/command';
import { createShardSource } from '@lockstep/compute';
import { classTargets, type Dataset, samplesOf, sizeOfField } from '@lockstep/data';
import { datasetFromText } from '@lockstep/data/readers';
import { embeddingOf, initialize, type Model, parameterCount, resolveModel } from '@lockstep/nn';
import { planRun } from '@lockstep/rules';
import { trainingCase, workOf } from '../cases/steps.ts';
import type { Case } from '../harness.ts';
import { stepCandidates } from '../peers/index.ts';
import { cnnNet, type Net, netOf, type TrainingStep } from '../work.ts';

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
  /** Unit of throughput. */
  readonly work: Case['workPerStep'];
}

const wideModelFile = relative(process.cwd(), fileURLToPath(new URL('../../models/mlp-1024.json', import.meta.url)));

type Point = Pick<Training, 'batch' | 'learningRate' | 'steps'> & { readonly model: string };

/**
 * From the batch size that must lose to one process to those that gain most. With all of its steps, each point reaches
 * 80 %, and is mostly warm after two thirds of them: small batches have short steps, and during the first hundreds the
 * engine compiles on the core that a second thread or worker would use.
 */
export const defaultPoints: readonly Point[] = [
  { model: 'mlp', batch: 64, learningRate: 0.1, steps: 1_000 },
  { model: 'mlp', batch: 128, learningRate: 0.15, steps: 700 },
  { model: 'mlp', batch: 512, learningRate: 0.3, steps: 400 },
  { model: 'mlp', batch: 2048, learningRate: 0.35, steps: 100 },
  { model: wideModelFile, batch: 512, learningRate: 0.3, steps: 88 },
  { model: 'cnn', batch: 256, learningRate: 0.15, steps: 72 },
  { model: 'gpt', batch: 12, learningRate: 0.1, steps: 60 },
];

interface GridOptions {
  readonly model: readonly string[] | undefined;
  readonly batch: readonly number[] | undefined;
  readonly steps: number | undefined;
  readonly lr: number | undefined;
}

/**
 * @param text what models of text train on
 * @throws CommandFailure with exit code 2
 */
export function gridOf(options: GridOptions, text: string): readonly Training[] {
  const { model: models, batch: batches, steps, lr } = options;
  const chosen =
    models === undefined && batches === undefined
      ? defaultPoints
      : (models ?? ['mlp']).flatMap((model) => (batches ?? [128]).map((batch) => pointFor(model, batch)));
  return chosen.map(({ model: modelOption, batch, ...point }) => {
    const model = readModel(modelOption, text);
    const named = { name: `${model.name}, batch ${batch}`, modelOption, model, parameters: parameterCount(model) };
    const known = { ...named, work: workOf(model, batch) };
    return { ...known, batch, learningRate: lr ?? point.learningRate, steps: steps ?? point.steps };
  });
}

/** The default point of this model and batch, or enough steps for about 30,000 images. */
function pointFor(model: string, batch: number): Point {
  const known = defaultPoints.find((point) => point.model === model && point.batch === batch);
  if (known) return known;
  const steps = Math.min(400, Math.max(20, Math.round(30_000 / batch)));
  return { model, batch, learningRate: batch >= 1024 ? 0.5 : batch >= 256 ? 0.3 : 0.1, steps };
}

function readModel(nameOrFile: string, text: string): Model {
  try {
    const model = resolveModel(nameOrFile.endsWith('.json') ? readFileSync(nameOrFile, 'utf8') : nameOrFile);
    if (embeddingOf(model) === undefined || nameOrFile.endsWith('.json')) return model;
    const tokens = new Set(text).size;
    return resolveModel(nameOrFile, { sampleShape: model.input, outputs: tokens, tokens, predictsNext: true });
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

/** Half of MNIST, at most. */
const trainedImages = 30_000;

/** Fraction of a run's steps that counts as warm-up: engines keep compiling hot code for a long time. */
export const startUpPart = 2 / 3;

/** Data of all runs: images, or the text that models of tokens train on. */
export interface Sources {
  readonly images: Dataset;
  readonly text: string;
}

/**
 * Writes what the runs of a training read into `folder`.
 * @returns its training samples, and the value of `--data`
 */
export async function writeRunData(
  { images, text }: Sources,
  training: Training,
  folder: string,
): Promise<{ readonly train: Dataset; readonly data: string }> {
  if (embeddingOf(training.model) === undefined) {
    const train = runDataOf(images, training);
    await writeMnistFiles(
      train,
      { trainCount: train.count, testCount: Math.min(evaluatedImages, train.count) },
      folder,
    );
    return { train, data: folder };
  }
  const data = join(folder, 'text.txt');
  await writeFile(data, text);
  return { train: datasetFromText(text, { context: training.model.input[0] }).train, data };
}

/**
 * The first samples of a training set, at most half of those that a run takes: workers hold the samples after one epoch,
 * as peers do from the start, and the evaluation at its end is over while the run still warms up.
 */
export function runDataOf(all: Dataset, { batch, steps }: Pick<Training, 'batch' | 'steps'>): Dataset {
  const half = Math.floor((batch * steps) / 2);
  const count = Math.min(all.count, Math.max(batch, Math.min(half, trainedImages)));
  const { samples, targets } = all;
  if (targets.role !== 'index' || samples.role !== 'scaled') {
    throw new Error('a comparison: expected pictures with classes');
  }
  return {
    samples: samplesOf(samples.values.subarray(0, count * sizeOfField(samples)), samples.shape),
    targets: classTargets(targets.values.subarray(0, count), targets.names),
    count,
  };
}

/** Writes the first `trainCount` samples for training, and the first `testCount` of the same samples for testing. */
export async function writeMnistFiles(
  { samples, targets }: Dataset,
  { trainCount, testCount }: { readonly trainCount: number; readonly testCount: number },
  folder: string,
): Promise<void> {
  const [rows = 1, columns = 1] = samples.shape;
  const images = Uint8Array.from(samples.values);
  const labels = Uint8Array.from(targets.values);
  for (const [part, count] of Object.entries({ train: trainCount, t10k: testCount })) {
    const pixels = images.subarray(0, count * rows * columns);
    await writeFile(join(folder, `${part}-images-idx3-ubyte`), [idxHeader(0x803, count, rows, columns), pixels]);
    await writeFile(join(folder, `${part}-labels-idx1-ubyte`), [idxHeader(0x801, count), labels.subarray(0, count)]);
  }
}

function idxHeader(...words: readonly number[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 * words.length));
  for (const [index, word] of words.entries()) header.setUint32(4 * index, word);
  return new Uint8Array(header.buffer);
}

/** Images or tokens that a peer cycles through. They are held as float32, so more of them would fit its caches worse. */
const peerAmount = 4_096;

const cnnLayers = JSON.stringify(cnnNet.model.layers);

/** The net that peers have a program for, or undefined if the model has neither form. */
export function peerNet({ model }: Pick<Training, 'model'>): Net | undefined {
  const layers = JSON.stringify(model.layers);
  if (layers === cnnLayers && model.input.join() === '28,28,1') return cnnNet;
  const tokens = embeddingOf(model)?.tokens;
  if (tokens !== undefined) {
    const fit = { sampleShape: model.input, outputs: tokens, tokens, predictsNext: true };
    return layers === JSON.stringify(resolveModel('gpt', fit).layers) ? netOf('gpt', model) : undefined;
  }
  const [first, between, last, ...rest] = model.layers;
  const isPerceptron =
    model.input.join() === '784' &&
    first?.type === 'dense' &&
    between?.type === 'relu' &&
    last?.type === 'dense' &&
    last.units === 10 &&
    rest.length === 0;
  return isPerceptron ? netOf('mlp', model) : undefined;
}

/** The first batches of the run that Lockstep's rows train on, from the same weights. */
function peerWork(
  { batch, model, learningRate, work }: Training,
  net: Net,
  train: Dataset,
  seed: number,
): TrainingStep {
  const steps = Math.max(2, Math.ceil(peerAmount / work.amount));
  const plan = planRun({ samples: train.count, batch, epochs: steps, steps });
  const samples = createShardSource(train, plan, seed);
  const shards = Array.from({ length: steps }, (_, step) => samples.shard(step, 0, plan.microbatches));
  const batches = shards
    .filter(({ count }) => count === batch)
    .map(({ samples: values, targets }) => ({ samples: Uint8Array.from(values), labels: Uint16Array.from(targets) }));
  return { net, batchSize: batch, learningRate, batches, initial: initialize(model, seed) };
}

/** Every peer as a candidate of one case; undefined if they have no program for the model. */
export async function peerCase(training: Training, train: Dataset, seed: number): Promise<Case | undefined> {
  const net = peerNet(training);
  if (net === undefined) return undefined;
  const work = peerWork(training, net, train, seed);
  return trainingCase(training.name, work, 1, stepCandidates('compare', work));
}

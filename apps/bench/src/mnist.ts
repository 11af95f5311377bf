/** Work on MNIST: batches of its images, the checks of what a candidate computed, and files for runs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset, targetValues } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { createMicrobatchGradient, initialize } from '@lockstep/nn';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import type { Case } from './benchmark.ts';
import { type Batch, type MnistStep, mnist, type Net } from './nets.ts';
import { createTraining } from './peers/lockstep.ts';
import { relativeDistance } from './statistics.ts';

/** @throws CommandFailure if the files of `directory`, or the installed ones, cannot be read */
export async function loadTrainingSet(directory?: string): Promise<Dataset> {
  try {
    return (await loadMnist(directory)).train;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

/** Training of the net on the first `batchSize * batchCount` images. */
export async function mnistWork(net: Net, batchSize: number, batchCount: number): Promise<MnistStep> {
  const batches = cutBatches(await loadTrainingSet(), batchSize, batchCount);
  return { net, batchSize, learningRate: 0.1, batches, initial: initialize(net.model, 1) };
}

/** Cuts the first `batchSize * count` images of a data set into batches. */
export function cutBatches(
  { samples, targets }: Pick<Dataset, 'samples' | 'targets'>,
  batchSize: number,
  count: number,
) {
  const labels = targetValues(targets);
  if (labels.length < batchSize * count) {
    throw new RangeError(`the benchmark needs ${batchSize * count} images, got ${labels.length}`);
  }
  return Array.from({ length: count }, (_, index): Batch => {
    const [from, to] = [index * batchSize, (index + 1) * batchSize];
    const pixels = Uint8Array.from(samples.subarray(from * mnist.pixels, to * mnist.pixels));
    return { pixels, labels: Uint8Array.from(labels.subarray(from, to)) };
  });
}

/** The same images without zeros: every black pixel becomes the darkest gray, 1 of 255. */
export function withoutZeros(batches: readonly Batch[]): readonly Batch[] {
  return batches.map(({ pixels, labels }) => ({ pixels: pixels.map((pixel) => Math.max(1, pixel)), labels }));
}

/**
 * The case in which candidates train on `work`. After `checkedSteps` steps, the *change* of a candidate's weights must
 * be that of the reference backend, which is tested against PyTorch. The weights themselves change little in training,
 * and would hide a candidate that trains wrongly or not at all.
 */
export async function trainingCase(
  name: string,
  work: MnistStep,
  checkedSteps: number,
  candidates: Case['candidates'],
): Promise<Case> {
  const { initial, batchSize } = work;
  const change = (weights: Float32Array): Float64Array =>
    Float64Array.from(weights, (weight, index) => weight - initial[index]!);
  const { backend } = await openBackend('reference');
  const expected = change(trained(backend, work, checkedSteps));
  return {
    name,
    workPerStep: { amount: batchSize, unit: 'images' },
    checkedSteps,
    tolerance: 1e-4,
    distance: (weights) => relativeDistance(change(weights), expected),
    candidates,
  };
}

/** Returns the weights after some steps. */
export function trained(backend: HostBackend, work: MnistStep, steps: number): Float32Array {
  const training = createTraining(backend, work);
  training.reset();
  for (let step = 0; step < steps; step++) training.step();
  const weights = backend.view(training.parameters).slice();
  training.dispose();
  return weights;
}

/** The distance of a gradient of the mean loss at the initial weights, on `batch`, from the reference backend's. */
export async function gradientDistance({ net, initial }: MnistStep, batch: Batch): Promise<Case['distance']> {
  const { backend } = await openBackend('reference');
  const samples = batch.labels.length;
  const parameters = backend.allocate(initial.length);
  backend.upload(parameters, initial);
  const gradient = createMicrobatchGradient(backend, net.model, samples, parameters);
  gradient.run(batch.pixels, batch.labels);
  const expected = backend.view(gradient.output).slice(0, initial.length);
  gradient.dispose();
  backend.free(parameters);
  return (actual) =>
    relativeDistance(
      actual,
      expected.map((sum) => sum / samples),
    );
}

/** Writes the first `trainCount` samples for training, and the first `testCount` of the same samples for testing. */
export async function writeMnistFiles(
  { samples, sampleShape, targets }: Dataset,
  { trainCount, testCount }: { readonly trainCount: number; readonly testCount: number },
  folder: string,
): Promise<void> {
  const [rows = 1, columns = 1] = sampleShape;
  const images = Uint8Array.from(samples);
  const labels = Uint8Array.from(targetValues(targets));
  const counts = { train: trainCount, t10k: testCount };
  for (const [part, count] of Object.entries(counts)) {
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

/** Benchmarks of one thread that computes: a training step on MNIST, and a matrix product. */
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist, openDefaultText } from '@lockstep/data/node';
import { decodeTokens } from '@lockstep/data/readers';
import { createMicrobatchGradient, embeddingOf, initialize, type Model } from '@lockstep/nn';
import { type HostBackend, openBackend, randomStream } from '@lockstep/tensor';
import { type Benchmark, type Case, relativeDistance } from '../harness.ts';
import { matmulCandidates, stepCandidates } from '../peers/index.ts';
import { createTraining } from '../peers/lockstep.ts';
import { type Batch, cnnNet, type MatrixProduct, mlpNet, mnist, type Net, type TrainingStep } from '../work.ts';

const fromBytes = 'Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.';

function checkedAfter(steps: string): string[] {
  return [
    `Every candidate is first checked against ${steps} on plain loops: "off by" is the relative distance of its change of the`,
    'weights from theirs. Every timed burst starts from the same weights.',
  ];
}

const [stepImages, checkedSteps] = [4096, 5];

const gradientStep: Benchmark = {
  name: 'gradient-step',
  title: '784-128-10 on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    `The first ${stepImages} training images of MNIST, in batches; learning rate 0.1. 19 % of their pixels are not zero.`,
    'Lockstep on cpu skips products with a zero pixel, which changes no bit; the peers multiply by it.',
    'MNIST as it is: "batch 64" and "batch 512". "Without zeros" raises every black pixel to 1 of 255, so that no product can',
    'be skipped: it shows what the same step takes on data that are not mostly black.',
    `One thread each. ${fromBytes}`,
    ...checkedAfter(`${checkedSteps} steps`),
  ],
  async cases() {
    const [small, large] = await Promise.all([64, 512].map((size) => mnistWork(mlpNet, size, stepImages / size)));
    const dense = { ...small!, batches: withoutZeros(small!.batches) };
    return [
      await stepCase('batch 64', small!, checkedSteps),
      await stepCase('batch 64, without zeros', dense, checkedSteps),
      await stepCase('batch 512', large!, checkedSteps),
    ];
  },
};

const cnnStep: Benchmark = {
  name: 'cnn-step',
  title: 'The small convolutional net on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    'Twice a 5 x 5 convolution (8 channels, then 16), ReLU and 2 x 2 max-pooling, then 10 dense units: 11,274 parameters.',
    'The first 512 training images of MNIST, batches of 64; learning rate 0.1. One thread each.',
    fromBytes,
    ...checkedAfter('one step'),
  ],
  cases: async () => [await stepCase('batch 64', await mnistWork(cnnNet, 64, 8), 1)],
};

function stepCase(name: string, work: TrainingStep, steps: number): Promise<Case> {
  return trainingCase(name, work, steps, stepCandidates('bench', work));
}

const matmul: Benchmark = {
  name: 'matmul',
  title: 'One dense product of two float32 matrices',
  method: [
    'Values in (-1, 1) without a zero, so that no product can be skipped. Operands are ready in the form that a candidate takes.',
    'One thread each. A multiplication and an addition count as two operations.',
    '"Off by" is the relative distance from the product in double precision.',
  ],
  cases: async () => [denseProduct(64, 784, 128), denseProduct(512, 1024, 1024)].map(productCase),
};

function productCase(work: MatrixProduct): Case {
  return {
    name: `${work.m} x ${work.k} x ${work.n}`,
    workPerStep: { amount: floatingPointOperations(work) / 1e9, unit: 'GFLOP' },
    checkedSteps: 1,
    tolerance: 1e-5,
    distance: productDistance(work),
    candidates: matmulCandidates(work),
  };
}

export default [gradientStep, matmul, cnnStep] satisfies readonly Benchmark[];

/** @throws CommandFailure if the files of `directory`, or the installed ones, cannot be read */
export async function loadTrainingSet(directory?: string): Promise<Dataset> {
  try {
    return (await loadMnist(directory)).train;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

/** Returns the beginning of Moby Dick: all of it would take longer to evaluate than a run takes. */
export function loadText(): string {
  const { train, reading } = openDefaultText();
  if (reading?.type !== 'text' || train.samples.role !== 'index') throw new Error('the default text: expected tokens');
  const { values, shape } = train.samples;
  // Each window begins with the last token of the one before.
  const tokens = values.subarray(0, 100_000).filter((_, at) => at === 0 || at % shape[0]! > 0);
  return decodeTokens(reading.vocabulary, tokens);
}

/** Training of the net on the first `batchSize * batchCount` images. */
export async function mnistWork(net: Net, batchSize: number, batchCount: number): Promise<TrainingStep> {
  const batches = cutBatches(await loadTrainingSet(), batchSize, batchCount);
  return { net, batchSize, learningRate: 0.1, batches, initial: initialize(net.model, 1) };
}

/** Cuts the first `batchSize * count` images of a data set into batches. */
export function cutBatches(
  { samples, targets }: Pick<Dataset, 'samples' | 'targets'>,
  batchSize: number,
  count: number,
) {
  const { values: labels } = targets;
  if (labels.length < batchSize * count) {
    throw new RangeError(`the benchmark needs ${batchSize * count} images, got ${labels.length}`);
  }
  return Array.from({ length: count }, (_, index): Batch => {
    const [from, to] = [index * batchSize, (index + 1) * batchSize];
    const pixels = Uint8Array.from(samples.values.subarray(from * mnist.pixels, to * mnist.pixels));
    return { samples: pixels, labels: Uint16Array.from(labels.subarray(from, to)) };
  });
}

/** The same images without zeros: every black pixel becomes the darkest gray, 1 of 255. */
export function withoutZeros(batches: readonly Batch[]): readonly Batch[] {
  return batches.map(({ samples, labels }) => ({ samples: samples.map((pixel) => Math.max(1, pixel)), labels }));
}

/**
 * The case in which candidates train on `work`. After `checkedSteps` steps, the *change* of a candidate's weights must
 * be that of the reference backend, which is tested against PyTorch. The weights themselves change little in training,
 * and would hide a candidate that trains wrongly or not at all.
 */
export async function trainingCase(
  name: string,
  work: TrainingStep,
  checkedSteps: number,
  candidates: Case['candidates'],
): Promise<Case> {
  const { backend } = await openBackend('reference');
  return {
    name,
    workPerStep: workOf(work.net.model, work.batchSize),
    checkedSteps,
    tolerance: 1e-4,
    distance: changeDistance(work.initial, trained(backend, work, checkedSteps)),
    candidates,
  };
}

/** Unit of throughput: images, or the tokens of texts. */
export function workOf(model: Model, batchSize: number): Case['workPerStep'] {
  if (embeddingOf(model) === undefined) return { amount: batchSize, unit: 'images' };
  return { amount: batchSize * model.input[0]!, unit: 'tokens' };
}

/** The relative distance of how weights have changed since `initial` from how `expected` have. */
export function changeDistance(initial: Float32Array, expected: Float32Array): Case['distance'] {
  const change = (weights: Float32Array) => Float64Array.from(weights, (weight, index) => weight - initial[index]!);
  return (weights) => relativeDistance(change(weights), change(expected));
}

/** Returns the weights after some steps. */
export function trained(backend: HostBackend, work: TrainingStep, steps: number): Float32Array {
  const training = createTraining(backend, work);
  training.reset();
  for (let step = 0; step < steps; step++) training.step();
  const weights = backend.view(training.parameters).slice();
  training.dispose();
  return weights;
}

/** The distance of a gradient of the mean loss at the initial weights, on `batch`, from the reference backend's. */
export async function gradientDistance({ net, initial }: TrainingStep, batch: Batch): Promise<Case['distance']> {
  const { backend } = await openBackend('reference');
  const samples = batch.labels.length;
  const parameters = backend.allocate(initial.length);
  backend.upload(parameters, initial);
  const gradient = createMicrobatchGradient(backend, net.model, samples, parameters);
  gradient.run(batch.samples, batch.labels);
  const sums = backend.view(gradient.output).slice(0, initial.length);
  gradient.dispose();
  backend.free(parameters);
  const expected = sums.map((sum) => sum / samples);
  return (actual) => relativeDistance(actual, expected);
}

/** `left` [m, k] x `right` [k, n], row-major: nonzero values in (-1, 1), the same on every machine. */
export function denseProduct(m: number, k: number, n: number): MatrixProduct {
  const random = randomStream(1);
  // Odd multiples of 2^-23, which float32 holds exactly.
  const value = (): number => (Math.floor(random() * 2 ** 23) + 0.5) / 2 ** 22 - 1;
  const matrix = (length: number) => Float32Array.from({ length }, value);
  return { m, k, n, left: matrix(m * k), right: matrix(k * n) };
}

export function floatingPointOperations({ m, k, n }: MatrixProduct): number {
  return 2 * m * k * n;
}

/** The distance of an output [m, n] from the product in double precision. */
export function productDistance({ m, k, n, left, right }: MatrixProduct): Case['distance'] {
  const expected = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const sums = expected.subarray(row * n, (row + 1) * n);
    for (let inner = 0; inner < k; inner++) {
      const factor = left[row * k + inner]!;
      const start = inner * n;
      for (let column = 0; column < n; column++) sums[column]! += factor * right[start + column]!;
    }
  }
  return (output) => relativeDistance(output, expected);
}

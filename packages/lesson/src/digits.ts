/** Labeled images of digits, and the classifier 784-128-10 that chapters train on them. */
import { type Dataset, permutation, targetWords } from '@lockstep/data';
import { createEvaluation, createMicrobatchGradient, initialize, type Model, resolveModel } from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { type OptimizerChoice, Trainer } from './trainer.ts';
import type { Measured } from './values.ts';

/** Pixels [count * 784], 0 to 255, and labels [count], 0 to 9. */
export interface LabeledImages {
  readonly pixels: Uint8Array;
  readonly labels: Uint16Array;
}

export interface Digits {
  readonly train: LabeledImages;
  readonly test: LabeledImages;
}

/** Number of values of one image, 28 x 28. */
export const pixelsPerDigit = 784;

/** Sizes of the part of MNIST that most chapters use, which a page loads quickly. */
export const fewDigits = { train: 6000, test: 1000 } as const;
/** Sizes of MNIST. */
export const allDigits = { train: 60_000, test: 10_000 } as const;

/** How many digits a chapter uses. It uses the same ones on a page and in a terminal, so both show the same figures. */
export type DigitsUse = 'few' | 'all';

/** Returns the digits of a chapter. @throws Error if there are fewer than `fewDigits` */
export function digitsOf({ digits }: { readonly digits?: Digits | undefined }, use: DigitsUse): Digits {
  const [train, test] = [digits?.train.labels.length ?? 0, digits?.test.labels.length ?? 0];
  if (!digits || train < fewDigits.train || test < fewDigits.test) {
    const expected = `at least ${fewDigits.train} training images and ${fewDigits.test} test images`;
    throw new Error(`expected ${expected}, got ${train} and ${test}`);
  }
  if (use === 'all') return digits;
  return { train: sliceOf(digits.train, 0, fewDigits.train), test: sliceOf(digits.test, 0, fewDigits.test) };
}

/** Returns the images of a data set without copying. @throws Error unless they are 28 x 28 bytes in ten classes */
export function labeledImages({ samples, count, targets }: Dataset): LabeledImages {
  const isClassified = targets.role === 'index' && targets.names.length === 10;
  if (samples.role !== 'scaled' || samples.values.length !== count * pixelsPerDigit || !isClassified) {
    const what = samples.role === 'scaled' ? 'bytes' : 'other values';
    const outputs = `${targets.names.length} ${targetWords[targets.role].many}`;
    const got = `${samples.values.length / count} ${what} and ${outputs}`;
    throw new Error(`digits: expected images of ${pixelsPerDigit} bytes in 10 classes, got ${got}`);
  }
  return { pixels: samples.values, labels: targets.values };
}

/** Returns the images `from .. to - 1` without copying. */
export function sliceOf({ pixels, labels }: LabeledImages, from: number, to: number): LabeledImages {
  return { pixels: pixels.subarray(from * pixelsPerDigit, to * pixelsPerDigit), labels: labels.subarray(from, to) };
}

/** Returns the first images, or all if there are fewer than `count`. */
export function firstOf(images: LabeledImages, count: number): LabeledImages {
  return sliceOf(images, 0, Math.min(count, images.labels.length));
}

/** Copies the images with these indices. */
export function pickImages({ pixels, labels }: LabeledImages, numbers: Uint32Array): LabeledImages {
  const picked = { pixels: new Uint8Array(numbers.length * pixelsPerDigit), labels: new Uint16Array(numbers.length) };
  for (const [row, number] of numbers.entries()) {
    picked.pixels.set(pixels.subarray(number * pixelsPerDigit, (number + 1) * pixelsPerDigit), row * pixelsPerDigit);
    picked.labels[row] = labels[number]!;
  }
  return picked;
}

/** Yields the mini-batches of an epoch in the order that the seed determines, including a shorter last one. */
export function* batchesOf(
  images: LabeledImages,
  batch: number,
  seed: number,
  epoch: number,
): Generator<LabeledImages> {
  const order = permutation(images.labels.length, seed, epoch);
  for (let first = 0; first < order.length; first += batch)
    yield pickImages(images, order.subarray(first, first + batch));
}

export const digitModel: Model = resolveModel('mlp');

/** Optimizer of the chapters that do not compare optimizers. */
export const plainSgd = { type: 'sgd', learningRate: 0.1 } as const;

/** Number of images evaluated at once. */
const evaluationBatch = 500;

const planKinds = { gradient: createMicrobatchGradient, evaluation: createEvaluation } as const;

export class Classifier {
  readonly #backend: HostBackend;
  readonly #trainer: Trainer;

  constructor(backend: HostBackend, optimizer: OptimizerChoice, seed: number) {
    this.#backend = backend;
    this.#trainer = new Trainer(backend, optimizer, initialize(digitModel, seed));
  }

  /** Parameters, in backend memory. */
  get parameters(): Storage {
    return this.#trainer.parameters;
  }

  /** Takes one optimizer step on the mean gradient of a batch. @returns the batch's mean loss before the step */
  step(batch: LabeledImages): number {
    const sums = this.#run('gradient', batch);
    const loss = this.#trainer.lossIn(sums) / batch.labels.length;
    this.#trainer.step(sums, batch.labels.length);
    return loss;
  }

  /** Returns the mean gradient over images, [parameters]. */
  gradient(images: LabeledImages): Float32Array {
    const sums = this.#backend.view(this.#run('gradient', images)).slice(0, this.parameters.length);
    return sums.map((value) => value / images.labels.length);
  }

  evaluate(images: LabeledImages): Measured {
    const count = images.labels.length;
    let [lossSum, correct] = [0, 0];
    for (let from = 0; from < count; from += evaluationBatch) {
      const slice = sliceOf(images, from, Math.min(count, from + evaluationBatch));
      const [sliceLoss, sliceCorrect] = this.#backend.view(this.#run('evaluation', slice));
      lossSum += sliceLoss!;
      correct += sliceCorrect!;
    }
    return { loss: lossSum / count, accuracy: correct / count };
  }

  dispose(): void {
    this.#trainer.dispose();
  }

  /** Computes the sums over images of gradients and losses, or of losses and correct predictions. */
  #run(name: keyof typeof planKinds, { pixels, labels }: LabeledImages): Storage {
    const plan = this.#trainer.plan(`${name} of ${labels.length}`, () =>
      planKinds[name](this.#backend, digitModel, labels.length, this.parameters),
    );
    plan.run(pixels, labels);
    return plan.output;
  }
}

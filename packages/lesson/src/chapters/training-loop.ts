/** The complete training loop: forward, loss, backward, step, repeatedly. */
import { initialize, parameterLayout } from '@lockstep/nn';
import {
  add,
  crossEntropy,
  fromArray,
  matmul,
  mul,
  relu,
  sub,
  type Tensor,
  tidy,
  valueAndGrad,
} from '@lockstep/tensor';
import { count, defineChapter, type LessonContext, range, seedControl } from '../chapter.ts';
import { batchesOf, Classifier, digitModel, digitsOf, firstOf, type LabeledImages, pixelsPerDigit } from '../digits.ts';
import { curves, decimal, figures, percent, table, thousands } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { tensorsOf } from '../trainer.ts';
import type { Measured } from '../values.ts';
import { verdictOf } from '../verdict.ts';

const batch = 64;
/** Number of training images that are evaluated: as many as MNIST has test images. */
const evaluated = 10_000;
/** Accuracy of guessing. */
const chance = 0.1;

interface EpochResult {
  readonly epoch: number;
  readonly train: Measured;
  readonly test: Measured;
}

/** The lines of `step` below, which a test compares with this file. */
const loopLines = [
  { code: 'const forward = (...own: Tensor[]) => logitsOf(images, own);', note: 'forward pass' },
  { code: 'const loss = (...own: Tensor[]) => crossEntropy(forward(...own), labels);', note: 'loss' },
  { code: 'const { gradients } = valueAndGrad(loss, weights);', note: 'backward pass' },
  { code: 'return weights.map((weight, at) => sub(weight, mul(gradients[at]!, lr)));', note: 'update' },
];

export const trainingLoop = defineChapter({
  id: 'training-loop',
  title: 'The training loop',
  claim: 'Plain SGD takes 784-128-10 from about 10 % to more than 93.6 % accuracy on digits that it has never seen.',
  digits: 'all',
  text: [
    'Four lines repeat thousands of times: the [[forward pass]], the [[loss]], [[back-propagation]], one step of [[stochastic gradient descent]]. Accuracy is measured on training images and on test images that the network never trains on. While both accuracies stay close, the network generalizes.',
    'With few training images it memorizes them instead. Set their number to 300, the epochs to 60 and the learning rate to 0.1: training accuracy reaches 100 %, test accuracy stays far behind. That is [[overfitting]].',
  ],
  live: defineLive({
    caption: 'All settings at once, on digits',
    hint: 'Which settings reach 95 % of the test digits in the fewest steps?',
    names: ['lr', 'batch', 'optimizer', 'activation', 'depth', 'width', 'start', 'seed'],
    first: { data: 'digits', depth: 1, width: 32 },
  }),
  controls: {
    lr: range({ label: 'Learning rate', from: 0.0001, to: 10, fallback: 0.05, step: 0.05, scale: 'log' }),
    epochs: count({ label: 'Epochs', from: 1, to: 60, fallback: 4 }),
    samples: count({ label: 'Training images', from: 100, to: 60_000, fallback: 60_000, scale: 'log' }),
    seed: seedControl,
  },
  *run(context, { lr, epochs, samples, seed }) {
    const { train, test } = digitsOf(context, 'all');
    const images = firstOf(train, samples);
    const classifier = new Classifier(context.backend, { type: 'sgd', learningRate: lr }, seed);
    const startedAtMs = context.nowMs();
    const evaluate = (epoch: number): EpochResult => ({
      epoch,
      train: classifier.evaluate(firstOf(images, evaluated)),
      test: classifier.evaluate(test),
    });
    const results = [evaluate(0)];
    const firstBatch = batchesOf(images, batch, seed, 0).next().value!;
    const difference = differenceToFourLines(context, firstBatch, { lr, seed });
    try {
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (const each of batchesOf(images, batch, seed, epoch)) classifier.step(each);
        results.push(evaluate(epoch + 1));
        yield {
          images: images.labels.length,
          steps: (epoch + 1) * Math.ceil(images.labels.length / batch),
          seconds: (context.nowMs() - startedAtMs) / 1000,
          results: [...results],
          verdict: verdictOf({
            losses: results.map((result) => result.train.loss),
            accuracy: { chance, train: results.at(-1)!.train.accuracy, test: results.at(-1)!.test.accuracy },
          }),
          difference,
        };
      }
    } finally {
      classifier.dispose();
    }
  },
  show({ images, steps, seconds, results, verdict, difference }) {
    const { train, test } = results.at(-1)!;
    return [
      { kind: 'code', caption: 'The loop: four lines for each batch', lines: loopLines },
      curves(
        'Accuracy after each epoch, in percent',
        'epoch',
        results.map(({ epoch }) => epoch),
        {
          training: results.map((result) => 100 * result.train.accuracy),
          test: results.map((result) => 100 * result.test.accuracy),
        },
      ),
      figures({
        'test accuracy': percent(test.accuracy),
        'training accuracy': percent(train.accuracy),
        'the network': verdict,
        'training images': thousands(images),
        steps: thousands(steps),
        time: `${decimal(seconds, 1)} s`,
        'difference from the four lines after one step': decimal(difference, 6),
      }),
      table(
        'Epoch by epoch',
        ['epoch', 'training loss', 'accuracy', 'test loss', 'accuracy'],
        results.map((result) => [
          result.epoch,
          decimal(result.train.loss, 4),
          percent(result.train.accuracy),
          decimal(result.test.loss, 4),
          percent(result.test.accuracy),
        ]),
      ),
    ];
  },
});

/** Returns the weights after a step on a batch of images [batch, 784] with labels [batch]. */
function step(weights: readonly Tensor[], images: Tensor, labels: Tensor, lr: number): Tensor[] {
  const forward = (...own: Tensor[]) => logitsOf(images, own);
  const loss = (...own: Tensor[]) => crossEntropy(forward(...own), labels);
  const { gradients } = valueAndGrad(loss, weights);
  return weights.map((weight, at) => sub(weight, mul(gradients[at]!, lr)));
}

/** Computes 784-128-10: two matrix products with a relu between them. */
function logitsOf(images: Tensor, [weight1, bias1, weight2, bias2]: readonly Tensor[]): Tensor {
  return add(matmul(relu(add(matmul(images, weight1!), bias1!)), weight2!), bias2!);
}

/**
 * Returns the largest difference between the weights after one step of the compiled training and after the four lines.
 */
function differenceToFourLines(
  { backend }: LessonContext,
  { pixels, labels }: LabeledImages,
  { lr, seed }: { readonly lr: number; readonly seed: number },
): number {
  const classifier = new Classifier(backend, { type: 'sgd', learningRate: lr }, seed);
  classifier.step({ pixels, labels });
  const trained = backend.view(classifier.parameters).slice();
  classifier.dispose();
  const layout = parameterLayout(digitModel);
  const byHand = tidy(() => {
    const weights = tensorsOf(
      backend,
      initialize(digitModel, seed),
      layout.map(({ shape }) => shape),
    );
    const images = mul(fromArray(backend, [...pixels], [labels.length, pixelsPerDigit]), 1 / 255);
    const stepped = step(weights, images, fromArray(backend, [...labels]), lr);
    return stepped.map((weight) => backend.view(weight.storage).slice());
  });
  const differences = layout.flatMap(({ offset }, index) =>
    Array.from(byHand[index]!, (value, place) => Math.abs(value - trained[offset + place]!)),
  );
  return differences.reduce((most, value) => Math.max(most, value), 0);
}

/** The complete training loop: forward, loss, backward, step, again and again. */
import { parseOptimizer } from '@lockstep/nn';
import { defineChapter } from '../chapter.ts';
import { createClassifier, firstOf, type Measured } from '../classifier.ts';
import { count, range, seedControl } from '../controls.ts';
import { batchesOf, digitsOf } from '../digits.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal, percent, thousands } from '../number-text.ts';

const batch = 64;
/** As many training images are evaluated as there are test images in MNIST. */
const evaluated = 10_000;
/** Above this gap of accuracies the chapter speaks of overfitting. */
const overfittingGap = 0.04;

interface EpochResult {
  readonly epoch: number;
  readonly train: Measured;
  readonly test: Measured;
}

export const trainingLoop = defineChapter({
  id: 'training-loop',
  title: 'The training loop',
  claim: 'Plain SGD takes 784-128-10 from 10 % to more than 93.6 % of digits that it has never seen.',
  usesDigits: true,
  fewDigits: { lr: 0.1, epochs: 20, samples: 6000 },
  text: [
    'Everything so far, in four lines that repeat: the [[forward pass]], the [[loss]], [[back-propagation]], one step of [[stochastic gradient descent]]. Accuracy is measured on images that were trained on and on others that were not. While both stay close, the network has learned what digits look like, and not these digits by heart.',
    'With few training images it goes the other way: set them to 300 with many epochs and a learning rate of 0.1. Training reaches 100 %, the test stays behind: [[overfitting]].',
  ],
  live: defineLive({
    caption: 'Everything under your hand, on digits',
    hint: 'Which settings reach 95 % of the test digits in the fewest steps?',
    names: ['lr', 'batch', 'optimizer', 'activation', 'depth', 'width', 'start', 'seed'],
    first: { data: 'digits', depth: 1, width: 32 },
  }),
  controls: {
    lr: range({ label: 'Learning rate', from: 0.0001, to: 10, fallback: 0.01, step: 0.05, scale: 'log' }),
    epochs: count({ label: 'Epochs', from: 1, to: 60, fallback: 15 }),
    samples: count({ label: 'Training images', from: 100, to: 60_000, fallback: 60_000, scale: 'log' }),
    seed: seedControl,
  },
  *run(context, { lr, epochs, samples, seed }) {
    const { train, test } = digitsOf(context);
    const images = firstOf(train, samples);
    const classifier = createClassifier(context.backend, parseOptimizer({ type: 'sgd', learningRate: lr }), seed);
    const startedAtMs = context.nowMs();
    const evaluate = (epoch: number): EpochResult => ({
      epoch,
      train: classifier.evaluate(firstOf(images, evaluated)),
      test: classifier.evaluate(test),
    });
    const results = [evaluate(0)];
    try {
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (const each of batchesOf(images, batch, seed, epoch)) classifier.step(each);
        results.push(evaluate(epoch + 1));
        yield {
          images: images.labels.length,
          steps: (epoch + 1) * Math.ceil(images.labels.length / batch),
          seconds: (context.nowMs() - startedAtMs) / 1000,
          results: [...results],
        };
      }
    } finally {
      classifier.dispose();
    }
  },
  show({ images, steps, seconds, results }) {
    const { train, test } = results.at(-1)!;
    const gap = train.accuracy - test.accuracy;
    return [
      {
        kind: 'curves',
        caption: 'Accuracy after each epoch, in percent',
        xLabel: 'epoch',
        x: results.map(({ epoch }) => epoch),
        series: [
          { label: 'training', values: results.map((result) => 100 * result.train.accuracy) },
          { label: 'test', values: results.map((result) => 100 * result.test.accuracy) },
        ],
      },
      {
        kind: 'figures',
        figures: [
          { label: 'test', value: percent(test.accuracy) },
          { label: 'training', value: percent(train.accuracy) },
          { label: 'the network', value: gap > overfittingGap ? 'overfits' : 'generalizes' },
          { label: 'training images', value: thousands(images) },
          { label: 'steps', value: thousands(steps) },
          { label: 'time', value: `${decimal(seconds, 1)} s` },
        ],
      },
      {
        kind: 'table',
        caption: 'Epoch by epoch',
        header: ['epoch', 'training loss', 'training', 'test loss', 'test'],
        rows: results.map((result) => [
          result.epoch,
          decimal(result.train.loss, 4),
          percent(result.train.accuracy),
          decimal(result.test.loss, 4),
          percent(result.test.accuracy),
        ]),
      },
    ];
  },
});

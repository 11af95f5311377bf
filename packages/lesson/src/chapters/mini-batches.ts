/** Mini-batches: the gradient of a few samples stands for that of all. */
import { parseOptimizer } from '@lockstep/nn';
import { cosineSimilarity, fromArray } from '@lockstep/tensor';
import { planRun } from '@lockstep/training';
import { defineChapter } from '../chapter.ts';
import { createClassifier, firstOf } from '../classifier.ts';
import { count, seedControl } from '../controls.ts';
import { batchesOf, digitsOf } from '../digits.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal, thousands } from '../number-text.ts';
import { meanOf, scalarOf } from '../values.ts';

const mnistSamples = 60_000;
const comparedBatches = [1, 4, 16, 64, 256];
/** What "all samples" means here, and how many batches of each size are compared with it. */
const [wholeSamples, tries] = [2000, 4];

export const miniBatches = defineChapter({
  id: 'mini-batches',
  title: 'Mini-batches',
  claim:
    'In batches of 64 an epoch of 60,000 images has 938 steps, each about in the direction that all images would take.',
  usesDigits: true,
  text: [
    'The exact [[gradient]] of the loss takes all images. [[Stochastic gradient descent]] takes it of a [[mini-batch]] that was drawn at random: a guess of the same direction, for a small part of the work. Each pass over all images is an [[epoch]]; 60,000 in batches of 64 are 937 full steps and one of 32.',
    'The larger the batch, the closer its gradient points to that of all, but each further image adds less. The noise also helps: it shakes the path out of shallow valleys.',
  ],
  live: defineLive({
    caption: 'The noise of a batch, on digits',
    hint: 'One image a step makes a ragged curve, 256 a smooth one. Change the size while it trains. A small batch needs a lower learning rate.',
    names: ['batch', 'lr'],
    first: { data: 'digits', depth: 1, width: 32, batch: 4, lr: 0.05 },
  }),
  controls: {
    batch: count({ label: 'Images in a batch', from: 1, to: 1024, fallback: 64, scale: 'log' }),
    seed: seedControl,
  },
  *run(context, { batch, seed }) {
    const { backend } = context;
    const whole = firstOf(digitsOf(context).train, wholeSamples);
    const classifier = createClassifier(backend, parseOptimizer({ type: 'sgd', learningRate: 0.1 }), seed);
    try {
      const all = classifier.gradient(whole);
      const cosineWithAll = (part: Float32Array): number =>
        scalarOf(backend, () => cosineSimilarity(fromArray(backend, part), fromArray(backend, all)));
      const sizes = [...new Set([...comparedBatches, batch])].sort((a, b) => a - b);
      const agreement = sizes.map((size) => {
        const batches = [...batchesOf(whole, size, seed, 0)].slice(0, tries);
        return { size, cosine: meanOf(batches.map((each) => cosineWithAll(classifier.gradient(each)))) };
      });
      const { stepsPerEpoch } = planRun({ samples: mnistSamples, batch, epochs: 1 });
      yield { batch, stepsPerEpoch, lastBatch: mnistSamples - (stepsPerEpoch - 1) * batch, agreement };
    } finally {
      classifier.dispose();
    }
  },
  show: ({ batch, stepsPerEpoch, lastBatch, agreement }) => [
    {
      kind: 'figures',
      figures: [
        { label: 'images in an epoch', value: thousands(mnistSamples) },
        { label: 'steps in an epoch', value: thousands(stepsPerEpoch) },
        { label: 'images in the last step', value: thousands(lastBatch) },
      ],
    },
    {
      kind: 'bars',
      caption: `Cosine of a batch's gradient with that of ${thousands(wholeSamples)} images`,
      bars: agreement.map(({ size, cosine }) => ({
        label: `${thousands(size)}${size === batch ? ' (yours)' : ''}`,
        value: cosine,
        text: decimal(cosine),
      })),
    },
  ],
});

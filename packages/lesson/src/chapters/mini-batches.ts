/** Mini-batches: the gradient of a few samples approximates the gradient of all samples. */
import { planRun } from '@lockstep/rules';
import { cosineSimilarity, fromArray, type HostBackend, normal } from '@lockstep/tensor';
import { count, defineChapter, seedControl } from '../chapter.ts';
import { batchesOf, Classifier, digitsOf, firstOf, plainSgd } from '../digits.ts';
import { bars, decimal, figures, table, thousands } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { meanOf, scalarOf, valuesOf } from '../values.ts';
import { landscapes, type Places, slopesAt } from './gradient-descent.ts';

const mnistSamples = 60_000;
const comparedBatches = [1, 4, 16, 64, 256];
/** Number of images that stand for all images, and number of batches of each size that are compared with them. */
const [wholeSamples, tries] = [2000, 4];
/** Batch sizes with which paths try to leave a valley, and the size of the slope that one sample adds. */
const [escapeBatches, sampleTilt] = [[1, 4, 16, 64, Number.POSITIVE_INFINITY], 5];
const [escapePaths, escapeSteps, escapeRate] = [100, 300, 0.05];

export const miniBatches = defineChapter({
  id: 'mini-batches',
  title: 'Mini-batches',
  claim:
    'In batches of 64, an epoch of 60,000 images has 938 steps, each roughly in the direction of the gradient of all images.',
  digits: 'few',
  text: [
    'The exact [[gradient]] of the loss needs all images. [[Stochastic gradient descent]] uses the gradient of a [[mini-batch]] that is drawn at random: an estimate of the same direction, for a small part of the work. Each pass over all images is an [[epoch]]: 60,000 images in batches of 64 are 937 full batches and one of 32.',
    'The larger the batch, the closer its gradient is to the gradient of all images, but each additional image helps less. The noise of small batches also helps: it can take a path out of a shallow valley. For the table, 100 paths start in the shallower of two valleys. Each sample tilts the landscape in its own direction, and the tilts of all samples add up to 0.',
  ],
  live: defineLive({
    caption: 'The noise of a batch, on digits',
    hint: 'One image per step gives a ragged curve, 256 images a smooth one. Change the size while it trains.',
    names: ['batch', 'lr'],
    first: { data: 'digits', depth: 1, width: 32, batch: 4, lr: 0.05 },
  }),
  controls: {
    batch: count({ label: 'Images in a batch', from: 1, to: 1024, fallback: 64, scale: 'log' }),
    seed: seedControl,
  },
  *run(context, { batch, seed }) {
    const { backend } = context;
    const whole = firstOf(digitsOf(context, 'few').train, wholeSamples);
    const classifier = new Classifier(backend, plainSgd, seed);
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
      yield {
        batch,
        stepsPerEpoch,
        lastBatch: mnistSamples - (stepsPerEpoch - 1) * batch,
        agreement,
        escapes: escapesOf(backend, escapeBatches, seed).map((escaped, index) => ({
          size: escapeBatches[index]!,
          escaped,
        })),
      };
    } finally {
      classifier.dispose();
    }
  },
  show: ({ batch, stepsPerEpoch, lastBatch, agreement, escapes }) => [
    figures({
      'images in an epoch': thousands(mnistSamples),
      'steps in an epoch': thousands(stepsPerEpoch),
      'images in the last step': thousands(lastBatch),
    }),
    bars(
      `Cosine of a batch's gradient and the gradient of ${thousands(wholeSamples)} images`,
      agreement.map(({ size, cosine }) => ({
        label: `${thousands(size)}${size === batch ? ' (yours)' : ''}`,
        value: cosine,
        text: decimal(cosine),
      })),
    ),
    table(
      `How many of ${escapePaths} paths leave the shallower valley`,
      ['samples in a batch', 'paths that end in the deeper valley'],
      escapes.map(({ size, escaped }) => [Number.isFinite(size) ? size : 'all', `${escaped} of ${escapePaths}`]),
    ),
  ],
});

/**
 * For each batch size, counts the paths of descent that start at the bottom of the shallower valley and end in the
 * deeper one. A sample adds a random slope of mean 0 to the landscape, so a batch adds the mean of its samples' slopes.
 */
function escapesOf(backend: HostBackend, sizes: readonly number[], seed: number): number[] {
  const paths = sizes.length * escapePaths;
  const tiltOf = Float32Array.from({ length: paths }, (_, path) => {
    return sampleTilt / Math.sqrt(sizes[Math.floor(path / escapePaths)]!);
  });
  let place: Places = { x: new Float32Array(paths).fill(2), y: new Float32Array(paths) };
  for (let step = 0; step < escapeSteps; step++) {
    const slopes = slopesAt(backend, landscapes['two valleys'], place);
    const random = valuesOf(backend, () => normal(backend, [2, paths], seed * escapeSteps + step));
    const moved = (from: Float32Array, slope: Float32Array, axis: number): Float32Array =>
      from.map((value, path) => value - escapeRate * (slope[path]! + tiltOf[path]! * random[axis * paths + path]!));
    place = { x: moved(place.x, slopes.x, 0), y: moved(place.y, slopes.y, 1) };
  }
  return sizes.map((_, index) => {
    const ends = place.x.subarray(index * escapePaths, (index + 1) * escapePaths);
    return ends.filter((value) => value < 0).length;
  });
}

/**
 * How a network learns, chapter by chapter. Each chapter computes its claims with Lockstep's own packages, and shows
 * them as plain data.
 */
import type { Chapter } from './chapter.ts';
import { activations } from './chapters/activations.ts';
import { attention } from './chapters/attention.ts';
import { backPropagation } from './chapters/back-propagation.ts';
import { crossEntropyChapter } from './chapters/cross-entropy.ts';
import { dotProduct } from './chapters/dot-product.ts';
import { embedding } from './chapters/embedding.ts';
import { forwardPass } from './chapters/forward-pass.ts';
import { gradientDescent } from './chapters/gradient-descent.ts';
import { initialization } from './chapters/initialization.ts';
import { layersChapter } from './chapters/layers.ts';
import { manyWorkers } from './chapters/many-workers.ts';
import { matrixProduct } from './chapters/matrix-product.ts';
import { miniBatches } from './chapters/mini-batches.ts';
import { neuron } from './chapters/neuron.ts';
import { optimizersChapter } from './chapters/optimizers.ts';
import { softmaxChapter } from './chapters/softmax.ts';
import { tensors } from './chapters/tensors.ts';
import { trainingLoop } from './chapters/training-loop.ts';
import { transformer } from './chapters/transformer.ts';
import { vectors } from './chapters/vectors.ts';
import { xor } from './chapters/xor.ts';

export type { RangeControl, Setting } from './chapter.ts';
export { accepts, type Chapter, type Control, expectedOf, type LessonContext, type LiveDefinition } from './chapter.ts';
export { allDigits, type Digits, type DigitsUse, fewDigits, labeledImages, pixelsPerDigit } from './digits.ts';
export * from './exhibit.ts';
export { glossary, partsOf } from './glossary.ts';
export * from './inside.ts';
export { beginsCurve } from './live-network.ts';
export { LiveRun, liveSteps, stepsPerPlace } from './live-run.ts';

/** The chapters in the order of the lesson: tests, examples and the page iterate over this table. */
export const chapters: readonly Chapter[] = [
  vectors,
  dotProduct,
  matrixProduct,
  tensors,
  neuron,
  xor,
  activations,
  layersChapter,
  forwardPass,
  softmaxChapter,
  crossEntropyChapter,
  gradientDescent,
  miniBatches,
  backPropagation,
  initialization,
  trainingLoop,
  optimizersChapter,
  embedding,
  attention,
  transformer,
  manyWorkers,
];

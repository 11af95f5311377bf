/** The 784-128-10 network on digits: its weights, its mini-batch steps, its evaluation. */
import {
  createEvaluation,
  createMicrobatchGradient,
  createOptimizer,
  initialize,
  type LabeledPlan,
  type Model,
  type OptimizerConfig,
  resolveModel,
} from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { imageSize, type LabeledImages, sliceOf } from './digits.ts';

export const digitModel: Model = resolveModel('mlp');

/** Number of images evaluated at once. */
const evaluationBatch = 500;

/** Mean loss and accuracy, from 0 to 1, over images. */
export interface Measured {
  readonly loss: number;
  readonly accuracy: number;
}

export interface Classifier {
  /** Parameters, in backend memory. */
  readonly parameters: Storage;
  /** Takes one optimizer step on the mean gradient of a batch. @returns the batch's mean loss before the step */
  step(batch: LabeledImages): number;
  /** Returns the mean gradient over images, [parameters]. */
  gradient(images: LabeledImages): Float32Array;
  evaluate(images: LabeledImages): Measured;
  dispose(): void;
}

export function createClassifier(backend: HostBackend, config: OptimizerConfig, seed: number): Classifier {
  const initial = initialize(digitModel, seed);
  const parameters = backend.allocate(initial.length);
  backend.upload(parameters, initial);
  const optimizer = createOptimizer(backend, config, parameters);
  const gradients = plansBySize((samples) => createMicrobatchGradient(backend, digitModel, samples, parameters));
  const evaluations = plansBySize((samples) => createEvaluation(backend, digitModel, samples, parameters));
  /** Computes sums over the batch in the plan's output. */
  const sums = ({ pixels, labels }: LabeledImages): Storage => {
    const plan = gradients.of(labels.length);
    plan.run(pixels, labels);
    return plan.output;
  };
  return {
    parameters,
    step(batch) {
      const output = sums(batch);
      const loss = backend.view(output)[initial.length]! / batch.labels.length;
      optimizer.step(batch.labels.length, output);
      return loss;
    },
    gradient(images) {
      const output = sums(images);
      return backend
        .view(output)
        .slice(0, initial.length)
        .map((value) => value / images.labels.length);
    },
    evaluate(images) {
      const count = images.labels.length;
      let [lossSum, correct] = [0, 0];
      for (let from = 0; from < count; from += evaluationBatch) {
        const { pixels, labels } = sliceOf(images, from, Math.min(count, from + evaluationBatch));
        const plan = evaluations.of(labels.length);
        plan.run(pixels, labels);
        const [sliceLoss, sliceCorrect] = backend.view(plan.output);
        lossSum += sliceLoss!;
        correct += sliceCorrect!;
      }
      return { loss: lossSum / count, accuracy: correct / count };
    },
    dispose() {
      optimizer.dispose();
      gradients.dispose();
      evaluations.dispose();
      backend.free(parameters);
    },
  };
}

/** Keeps one plan for each number of samples. */
function plansBySize(create: (samples: number) => LabeledPlan) {
  const plans = new Map<number, LabeledPlan>();
  return {
    of(samples: number): LabeledPlan {
      const plan = plans.get(samples) ?? create(samples);
      plans.set(samples, plan);
      return plan;
    },
    dispose(): void {
      for (const plan of plans.values()) plan.dispose();
    },
  };
}

/** Returns the first images, or all if there are fewer than `count`. */
export function firstOf(images: LabeledImages, count: number): LabeledImages {
  return sliceOf(images, 0, Math.min(count, images.pixels.length / imageSize));
}

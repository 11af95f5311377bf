/** Compiled work on a fixed number of samples: the gradient of one microbatch or of several, evaluation, and plain prediction. */
import {
  type Backend,
  type ByteTable,
  compile,
  correct,
  fromStorage,
  type RandomKeys,
  randomKey,
  type Storage,
  softmaxCrossEntropy,
  sum,
  type Tensor,
  valueAndGrad,
} from '@lockstep/tensor';
import { forward } from './forward.ts';
import { layerKind } from './layers/index.ts';
import { inputSize, type Model } from './model.ts';
import { parameterLayout, totalSize } from './parameters.ts';
import { defaultKey, type RandomKey } from './random-key.ts';

/** A pixel byte stands for byte / 255. */
const pixelDivisor = 255;

/** The pixels of samples that lie in a table of the plan's backend: row `numbers[i]` [inputSize] is that of sample i. */
export interface PixelRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

/** Work on labeled samples. */
export interface LabeledPlan {
  readonly samples: number;
  /** What `run` leaves; see the function that made the plan. */
  readonly output: Storage;
  /**
   * `pixels` [samples * inputSize], or rows of a table, read as byte / 255; `labels` [samples], class indices. Throws one
   * sentence when lengths differ. A label that is no class makes the loss NaN. `key` fixes what a model drops at random
   * while it trains; without one, the same is dropped at each run.
   */
  run(pixels: Uint8Array | PixelRows, labels: Uint8Array, key?: RandomKey): void;
  dispose(): void;
}

/** Work on samples whose class nobody knows. */
export interface PredictionPlan {
  readonly samples: number;
  /** Class scores before the softmax, [samples, classes]. */
  readonly output: Storage;
  run(pixels: Uint8Array): void;
  dispose(): void;
}

/**
 * For one microbatch of `samples` samples: `output` [P + 2] holds the SUM over the samples of the loss's gradient, in the order
 * of the flat `parameters` [P], then the sum of the losses, then how many were classified correctly. `parameters`
 * stay the caller's and are read anew at each run.
 */
export function createMicrobatchGradient(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
): LabeledPlan {
  return gradientPlan(backend, model, samples, parameters, {});
}

/**
 * As `createMicrobatchGradient` for `microbatches` microbatches of `microbatchSize` samples at once: to the bit what they give one by one, added in
 * pairs of neighbors, the sums in pairs again, and so on. For backends with `microbatchSums`.
 */
export function createShardGradient(
  backend: Backend,
  model: Model,
  { microbatches, microbatchSize }: { readonly microbatches: number; readonly microbatchSize: number },
  parameters: Storage,
): LabeledPlan {
  if (!backend.microbatchSums)
    throw new Error(`microbatch: the backend ${backend.name} computes one microbatch at a time`);
  return gradientPlan(backend, model, microbatches * microbatchSize, parameters, { microbatches });
}

function gradientPlan(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  perMicrobatch: { readonly microbatches?: number },
): LabeledPlan {
  return labeledPlan(backend, model, samples, parameters, isRandom(model), (x, labels, tensors, random) => {
    let correctSum: Tensor | undefined;
    const loss = (...microbatches: Tensor[]): Tensor => {
      const logits = forward(model, x, microbatches, random);
      correctSum = sum(correct(logits, labels), perMicrobatch);
      return sum(softmaxCrossEntropy(logits, labels), perMicrobatch);
    };
    const { value, gradients } = valueAndGrad(loss, tensors, perMicrobatch);
    return [...gradients, value, correctSum!];
  });
}

/**
 * As `createMicrobatchGradient`, without the gradient and with nothing dropped: `output` [2] holds the sum of the losses and
 * how many were correct.
 */
export function createEvaluation(backend: Backend, model: Model, samples: number, parameters: Storage): LabeledPlan {
  return labeledPlan(backend, model, samples, parameters, false, (x, labels, tensors) => {
    const logits = forward(model, x, tensors);
    return [sum(softmaxCrossEntropy(logits, labels)), sum(correct(logits, labels))];
  });
}

/** Class scores for `samples` samples at a time. */
export function createPrediction(backend: Backend, model: Model, samples: number, parameters: Storage): PredictionPlan {
  checkSamples(samples);
  const plan = compile(backend, (x, ...tensors) => [forward(model, x!, tensors)], [
    [samples, ...model.input],
    ...parameterTensors(backend, model, parameters),
  ]);
  const pixelCount = samples * inputSize(model);
  return {
    samples,
    output: plan.output,
    run(pixels) {
      checkLength('pixels', pixels, pixelCount);
      backend.uploadBytes(plan.inputs[0]!.storage, pixels, pixelDivisor);
      plan.run();
    },
    dispose: () => plan.dispose(),
  };
}

function labeledPlan(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  isRandom: boolean,
  outputs: (
    x: Tensor,
    labels: Tensor,
    parameters: readonly Tensor[],
    random: RandomKeys | undefined,
  ) => readonly Tensor[],
): LabeledPlan {
  checkSamples(samples);
  const plan = compile(
    backend,
    (x, labels, ...rest) => {
      const [key, numbers] = rest.splice(0, isRandom ? 2 : 0);
      return outputs(x!, labels!, rest, key && numbers && { key, samples: numbers });
    },
    [
      [samples, ...model.input],
      [samples],
      ...(isRandom ? [[4], [samples]] : []),
      ...parameterTensors(backend, model, parameters),
    ],
  );
  const size = inputSize(model);
  const sampleNumbers = new Float32Array(samples);
  return {
    samples,
    output: plan.output,
    run(pixels, labels, key = defaultKey) {
      const x = plan.inputs[0]!.storage;
      checkLength('labels', labels, samples);
      if (pixels instanceof Uint8Array) {
        checkLength('pixels', pixels, samples * size);
        backend.uploadBytes(x, pixels, pixelDivisor);
      } else {
        checkRows(pixels, samples, size);
        pixels.table.upload(x, pixels.numbers, pixelDivisor);
      }
      backend.uploadBytes(plan.inputs[1]!.storage, labels, 1);
      if (isRandom) {
        for (let index = 0; index < samples; index++) sampleNumbers[index] = key.firstSample + index;
        backend.upload(plan.inputs[2]!.storage, randomKey(key.seed, key.step));
        backend.upload(plan.inputs[3]!.storage, sampleNumbers);
      }
      plan.run();
    },
    dispose: () => plan.dispose(),
  };
}

function isRandom(model: Model): boolean {
  return model.layers.some((layer) => layerKind(layer).isRandom?.(layer) ?? false);
}

function parameterTensors(backend: Backend, model: Model, parameters: Storage): Tensor[] {
  const layout = parameterLayout(model);
  const total = totalSize(layout);
  if (parameters.length !== total) {
    throw new Error(`model ${model.name}: expected ${total} parameters, got ${parameters.length}`);
  }
  return layout.map(({ offset, size, shape }) => fromStorage(backend, backend.slice(parameters, offset, size), shape));
}

function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

function checkRows({ table, numbers }: PixelRows, samples: number, size: number): void {
  if (numbers.length === samples && table.columns === size) return;
  const got = `${numbers.length} rows of ${table.columns}`;
  throw new Error(`microbatch: expected ${samples} rows of ${size} pixels, got ${got}`);
}

function checkLength(what: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${bytes.length}`);
}

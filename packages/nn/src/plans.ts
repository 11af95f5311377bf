/** Compiled plans of a model: outputs, losses and gradients of samples that are loaded into them. */

import {
  checkArguments,
  classField,
  type SampleValues,
  type TargetField,
  type TargetValues,
  targetWords,
} from '@lockstep/data';
import {
  type Backend,
  type ByteTable,
  compile,
  createByteInput,
  fromStorage,
  type Plan,
  type Program,
  type RandomKeys,
  randomKey,
  type Shape,
  type Storage,
  sizeOf,
  type Tensor,
  valueAndGrad,
} from '@lockstep/tensor';
import { kinds } from './check.ts';
import { forward, lossSums, targetShape } from './forward.ts';
import { layerKind } from './layers.ts';
import { embeddingOf, everyLayer, type Model, parameterTensors } from './model.ts';

/** Samples in a table of the plan's backend: row `numbers[i]` holds the bytes of sample i. */
export interface SampleRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

/** A byte enters the model as byte / 255. */
export const byteDivisor = 255;

interface SampleInput {
  /** [samples, ...input]; an input for a plan. */
  readonly x: Tensor;
  /** The next tokens [samples, positions], another input, if samples contain them. */
  readonly next?: Tensor | undefined;
  /**
   * Takes one sample per row of the tensor. Throws one sentence if lengths differ.
   * @returns programs that finish loading, for the thread that runs the plan
   */
  take(samples: SampleValues | SampleRows): readonly Program[];
  /** Also frees the memory of the samples, so no plan may read them afterwards. */
  dispose(): void;
}

/**
 * Creates an input of `shape` [samples, ...input].
 * Create it before the plan that reads it: a backend may then leave bytes unconverted for the plan's products.
 */
function createSampleInput(backend: Backend, shape: Shape): SampleInput {
  const storage = backend.allocate(sizeOf(shape));
  const x = fromStorage(backend, storage, shape);
  const byteInput = createByteInput(backend, storage, byteDivisor);
  const count = shape[0]!;
  return {
    x,
    take(samples) {
      if ('table' in samples) {
        checkRows(samples, count, x.size / count);
        return [byteInput.takeRows(samples.table, samples.numbers)];
      }
      checkLength('values of samples', samples.length, x.size);
      if (samples instanceof Uint8Array) return [byteInput.take(samples)];
      if (samples instanceof Uint16Array) throw new Error('microbatch: expected bytes or floats, got tokens');
      backend.upload(storage, samples);
      return [];
    },
    dispose() {
      byteInput.dispose();
      x.dispose();
      backend.free(storage);
    },
  };
}

/** Creates an input of tokens [samples, positions]; if `hasNext`, samples have one more token than positions. */
function createTokenInput(backend: Backend, shape: Shape, hasNext: boolean): SampleInput {
  const [count, positions] = shape as readonly [number, number];
  const storages = Array.from({ length: hasNext ? 2 : 1 }, () => backend.allocate(count * positions));
  const [x, next] = storages.map((storage) => fromStorage(backend, storage, shape));
  const size = positions + (hasNext ? 1 : 0);
  const floats = new Float32Array(count * positions);
  return {
    x: x!,
    next,
    take(samples) {
      const isTable = 'table' in samples;
      if (isTable) checkRows(samples, count, size);
      else checkLength('tokens', samples.length, count * size);
      // Position t of the input is token t of its sample; of the next tokens, token t + 1.
      for (const [shift, storage] of storages.entries()) {
        for (let sample = 0; sample < count; sample++) {
          const first = isTable ? 0 : sample * size;
          const row = isTable ? samples.table.read(samples.numbers[sample]!) : samples;
          floats.set(row.subarray(first + shift, first + shift + positions), sample * positions);
        }
        backend.upload(storage, floats);
      }
      return [];
    },
    dispose() {
      for (const tensor of [x, next]) tensor?.dispose();
      for (const storage of storages) backend.free(storage);
    },
  };
}

function inputOf(backend: Backend, model: Model, samples: number, hasNext = false): SampleInput {
  const shape = [samples, ...model.input];
  return embeddingOf(model) ? createTokenInput(backend, shape, hasNext) : createSampleInput(backend, shape);
}

function checkRows({ table, numbers }: SampleRows, count: number, size: number): void {
  if (numbers.length === count && table.columns === size) return;
  const got = `${numbers.length} rows of ${table.columns}`;
  throw new Error(`microbatch: expected ${count} rows of ${size} bytes, got ${got}`);
}

function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

function checkLength(what: string, length: number, expected: number): void {
  if (length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${length}`);
}

/**
 * Key that determines a model's random choices in training.
 * It does not depend on which worker computes.
 */
export interface RandomKey {
  /** The run's seed, a whole number below 2^32. */
  readonly seed: number;
  readonly step: number;
  /** Position of the first sample in its epoch's order; the others follow. */
  readonly firstSample: number;
}

/** The default key. */
export const defaultKey: RandomKey = { seed: 0, step: 0, firstSample: 0 };

/** A compiled computation over a batch of samples and their targets. */
export interface LabeledPlan {
  /** Result of `run`; the function that made the plan documents its layout. */
  readonly output: Storage;
  /**
   * Loads the samples of the next run [samples, ...input], and their targets: class indices [samples], or values
   * [samples, outputs]. If targets are the next tokens, samples are [samples, positions + 1] and targets empty. Throws
   * one sentence if lengths differ. A label outside the classes makes the loss NaN. `key`
   * determines the dropout masks in training; without a key, each run uses the same masks.
   * @returns programs that finish loading, for the thread that runs the plan
   */
  load(samples: SampleValues | SampleRows, targets: TargetValues, key?: RandomKey): readonly Program[];
  /** Returns a program that computes the result of `run` from the loaded samples into `output`, of the same length. */
  into(output: Storage): Program;
  /** Loads samples and computes `output`. */
  run(samples: SampleValues | SampleRows, targets: TargetValues, key?: RandomKey): void;
  dispose(): void;
}

/** Computes a plan's outputs from `x` [samples, ...input], the targets, and one tensor per parameter. */
type LabeledOutputs = (
  x: Tensor,
  targets: Tensor,
  parameters: readonly Tensor[],
  random: RandomKeys | undefined,
) => readonly Tensor[];

interface LabeledPlanOptions {
  readonly targetField: TargetField;
  /** Whether the outputs depend on random choices, which the key of each run determines. */
  readonly isRandom: boolean;
  /** Replaces the plan's own output; still owned by the caller. */
  readonly output?: Storage | undefined;
}

export function createLabeledPlan(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  { targetField, isRandom, output }: LabeledPlanOptions,
  outputs: LabeledOutputs,
): LabeledPlan {
  checkSamples(samples);
  const tensors = parameterTensors(backend, model, parameters);
  const sampleInput = inputOf(backend, model, samples, targetField.role === 'next');
  const plan = compile(
    backend,
    (x, targets, ...rest) => {
      const [key, sampleNumbers] = rest.splice(0, isRandom ? 2 : 0);
      return outputs(x!, targets!, rest, key && sampleNumbers && { key, samples: sampleNumbers });
    },
    [
      sampleInput.x,
      sampleInput.next ?? targetShape(model, samples, targetField),
      ...(isRandom ? [[4], [samples]] : []),
      ...tensors,
    ],
    output === undefined ? {} : { output },
  );
  const [, targetTensor, randomKeys, numbers] = plan.inputs;
  const takeTargets = targetInput(backend, targetTensor!, targetField);
  const takeKey = isRandom ? keyInput(backend, randomKeys!, numbers!) : undefined;

  const load: LabeledPlan['load'] = (values, targets, key = defaultKey) => {
    takeTargets(targets);
    takeKey?.(key);
    return sampleInput.take(values);
  };

  return loadedPlan(plan, sampleInput, load);
}

/** A compiled plan with the input of its samples. @param load loads the inputs of a run */
function loadedPlan<Batch extends readonly unknown[]>(
  plan: Plan,
  sampleInput: SampleInput,
  load: (...batch: Batch) => readonly Program[],
) {
  return {
    output: plan.output,
    load,
    into: (storage: Storage) => plan.into(storage),
    run(...batch: Batch): void {
      for (const program of load(...batch)) program.run();
      plan.run();
    },
    dispose(): void {
      plan.dispose();
      sampleInput.dispose();
    },
  };
}

/** @returns a function that uploads the key of a run's random values */
function keyInput(backend: Backend, randomKeys: Tensor, numbers: Tensor): (key: RandomKey) => void {
  const sampleNumbers = new Float32Array(numbers.size);
  return ({ seed, step, firstSample }) => {
    for (let index = 0; index < sampleNumbers.length; index++) sampleNumbers[index] = firstSample + index;
    backend.upload(randomKeys.storage, randomKey(seed, step));
    backend.upload(numbers.storage, sampleNumbers);
  };
}

/** @returns a function that uploads the targets of a run */
function targetInput(
  backend: Backend,
  { storage, size }: Tensor,
  { role }: TargetField,
): (targets: TargetValues) => void {
  if (role === 'next') return (targets) => checkLength('targets besides the samples', targets.length, 0);
  const floats = new Float32Array(size);
  return (targets) => {
    checkLength(role === 'index' ? 'labels' : 'targets', targets.length, size);
    if (targets instanceof Float32Array !== (role === 'value')) {
      throw new Error(
        `microbatch: expected targets that are ${targetWords[role].many}, got ${targets.constructor.name}`,
      );
    }
    if (targets instanceof Float32Array) backend.upload(storage, targets);
    else {
      floats.set(targets);
      backend.upload(storage, floats);
    }
  };
}

interface GradientPlanOptions extends Pick<LabeledPlanOptions, 'output'> {
  /** Determines the loss, with the weights of classes; classes without weights by default. */
  readonly targetField?: TargetField | undefined;
  /** Number of microbatches to sum over separately; by default, sums run over all samples at once. */
  readonly microbatches?: number | undefined;
}

/**
 * Compiles a plan that computes the gradient of one microbatch.
 * `output` [P + 2] holds the SUM of the loss's gradient over its `samples` samples, in the order of the flat
 * `parameters` [P], then the sum of the losses, then the number of correctly classified samples (0 if targets are
 * values). The caller owns `parameters`; each run reads their current values.
 */
export function createMicrobatchGradient(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  options: GradientPlanOptions = {},
): LabeledPlan {
  checkArguments(
    'createMicrobatchGradient',
    [kinds.backend, backend],
    [kinds.model, model],
    [kinds.storage, parameters],
    [kinds.options, options],
  );
  const { targetField = classField, microbatches, output } = options;
  const sumOptions = microbatches === undefined ? {} : { microbatches };
  const isRandom = everyLayer(model).some(({ layer }) => layerKind(layer).isRandom?.(layer) ?? false);
  const planOptions = { targetField, isRandom, output };
  return createLabeledPlan(backend, model, samples, parameters, planOptions, (x, targets, tensors, random) => {
    let correctSum: Tensor | undefined;
    const loss = (...weights: Tensor[]): Tensor => {
      const sums = lossSums(forward(model, x, weights, { random }), targets, targetField, sumOptions);
      correctSum = sums.correct;
      return sums.loss;
    };
    const { value, gradients } = valueAndGrad(loss, tensors, sumOptions);
    return [...gradients, value, correctSum!];
  });
}

/**
 * Same as `createMicrobatchGradient`, for several microbatches at once.
 * The result has the bits of the microbatches computed one by one and added in pairs of neighbors, the sums again in
 * pairs, and so on. Needs a backend with `microbatchSums`.
 */
export function createShardGradient(
  backend: Backend,
  model: Model,
  shard: { readonly microbatches: number; readonly microbatchSize: number },
  parameters: Storage,
  options: Pick<GradientPlanOptions, 'targetField' | 'output'> = {},
): LabeledPlan {
  checkArguments(
    'createShardGradient',
    [kinds.backend, backend],
    [kinds.model, model],
    [kinds.shard, shard],
    [kinds.storage, parameters],
    [kinds.options, options],
  );
  const { microbatches, microbatchSize } = shard;
  if (!backend.microbatchSums) throw new Error(`shard: the backend ${backend.name} computes one microbatch at a time`);
  return createMicrobatchGradient(backend, model, microbatches * microbatchSize, parameters, {
    ...options,
    microbatches,
  });
}

/** `output` [samples, outputs] holds class scores before the softmax, or values. */
export interface PredictionPlan extends Pick<LabeledPlan, 'output' | 'into' | 'dispose'> {
  /** Loads samples [samples, ...input]. @returns programs that finish loading, for the thread that runs the plan */
  load(samples: SampleValues): readonly Program[];
  run(samples: SampleValues): void;
}

/** Compiles a prediction plan. The caller owns `parameters` [P]; each run reads their current values. */
export function createPrediction(backend: Backend, model: Model, samples: number, parameters: Storage): PredictionPlan {
  checkArguments('createPrediction', [kinds.backend, backend], [kinds.model, model], [kinds.storage, parameters]);
  checkSamples(samples);
  const tensors = parameterTensors(backend, model, parameters);
  const sampleInput = inputOf(backend, model, samples);
  const plan = compile(backend, (x, ...weights) => [forward(model, x!, weights)], [sampleInput.x, ...tensors]);
  return loadedPlan(plan, sampleInput, sampleInput.take);
}

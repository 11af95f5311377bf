/** A model compiled for a fixed number of labeled samples, for gradients and for evaluation. */
import {
  type Backend,
  compile,
  type Program,
  type RandomKeys,
  randomKey,
  type Storage,
  type Tensor,
} from '@lockstep/tensor';
import { losses, type TargetType, type TargetValues } from './losses.ts';
import { type Model, outputCount } from './model.ts';
import { parameterTensors } from './parameters.ts';
import { checkLength, checkSamples, createSampleInput, type SampleRows, type SampleValues } from './sample-input.ts';

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
   * [samples, outputs]. Throws one sentence if lengths differ. A label outside the classes makes the loss NaN. `key`
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
export type LabeledOutputs = (
  x: Tensor,
  targets: Tensor,
  parameters: readonly Tensor[],
  random: RandomKeys | undefined,
) => readonly Tensor[];

export interface LabeledPlanOptions {
  readonly targetType: TargetType;
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
  { targetType, isRandom, output }: LabeledPlanOptions,
  outputs: LabeledOutputs,
): LabeledPlan {
  checkSamples(samples);
  const tensors = parameterTensors(backend, model, parameters);
  const sampleInput = createSampleInput(backend, [samples, ...model.input]);
  const plan = compile(
    backend,
    (x, targets, ...rest) => {
      const [key, sampleNumbers] = rest.splice(0, isRandom ? 2 : 0);
      return outputs(x!, targets!, rest, key && sampleNumbers && { key, samples: sampleNumbers });
    },
    [
      sampleInput.x,
      losses[targetType].targetShape(samples, outputCount(model)),
      ...(isRandom ? [[4], [samples]] : []),
      ...tensors,
    ],
    output === undefined ? {} : { output },
  );
  const [, targetTensor, randomKeys, numbers] = plan.inputs;
  const takeTargets = targetInput(backend, targetTensor!, targetType);
  const takeKey = isRandom ? keyInput(backend, randomKeys!, numbers!) : undefined;

  const load: LabeledPlan['load'] = (values, targets, key = defaultKey) => {
    takeTargets(targets);
    takeKey?.(key);
    return sampleInput.take(values);
  };

  return {
    output: plan.output,
    load,
    into: (storage) => plan.into(storage),
    run(...batch) {
      for (const program of load(...batch)) program.run();
      plan.run();
    },
    dispose() {
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
function targetInput(backend: Backend, { storage, size }: Tensor, type: TargetType): (targets: TargetValues) => void {
  const floats = new Float32Array(size);
  return (targets) => {
    checkLength(type === 'classes' ? 'labels' : 'targets', targets.length, size);
    if (targets instanceof Float32Array !== (type === 'values')) {
      throw new Error(`microbatch: expected targets that are ${type}, got ${targets.constructor.name}`);
    }
    if (targets instanceof Float32Array) backend.upload(storage, targets);
    else {
      floats.set(targets);
      backend.upload(storage, floats);
    }
  };
}

/** A model compiled for a fixed number of labeled samples: what gradients and evaluation share. */
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
 * What fixes the random choices of a model in training.
 * Nothing in it depends on which worker computes.
 */
export interface RandomKey {
  /** The run's seed, a whole number below 2^32. */
  readonly seed: number;
  readonly step: number;
  /** Position of the first sample in its epoch's order; the others follow. */
  readonly firstSample: number;
}

/** Where a caller gives none. */
export const defaultKey: RandomKey = { seed: 0, step: 0, firstSample: 0 };

/** A compiled computation over a batch of samples and their targets. */
export interface LabeledPlan {
  /** What `run` leaves; see the function that made the plan. */
  readonly output: Storage;
  /**
   * Takes in the samples of the next run [samples, ...input], and their targets: class indices [samples], or values
   * [samples, outputs]. Throws one sentence when lengths differ. A label that is no class makes the loss NaN. `key` fixes
   * what dropout drops in training; without one, each run drops the same.
   * @returns the rest of that work, for the thread that runs the plan
   */
  load(samples: SampleValues | SampleRows, targets: TargetValues, key?: RandomKey): readonly Program[];
  /** What computes from the samples that were loaded, and leaves in `output` [as long as that of the plan] what `run` leaves. */
  into(output: Storage): Program;
  /** Loads samples and computes. */
  run(samples: SampleValues | SampleRows, targets: TargetValues, key?: RandomKey): void;
  dispose(): void;
}

/** What a plan computes of its inputs: `x` [samples, ...input], the targets, one tensor for each parameter. */
export type LabeledOutputs = (
  x: Tensor,
  targets: Tensor,
  parameters: readonly Tensor[],
  random: RandomKeys | undefined,
) => readonly Tensor[];

export interface LabeledPlanOptions {
  readonly targetType: TargetType;
  /** Whether the outputs are of random choices, which the key of each run fixes. */
  readonly isRandom: boolean;
  /** Stands for the plan's own output where it is given; it stays the caller's. */
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

/** @returns what takes in the key of a run's random values */
function keyInput(backend: Backend, randomKeys: Tensor, numbers: Tensor): (key: RandomKey) => void {
  const sampleNumbers = new Float32Array(numbers.size);
  return ({ seed, step, firstSample }) => {
    for (let index = 0; index < sampleNumbers.length; index++) sampleNumbers[index] = firstSample + index;
    backend.upload(randomKeys.storage, randomKey(seed, step));
    backend.upload(numbers.storage, sampleNumbers);
  };
}

/** @returns what takes in the targets of a run */
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

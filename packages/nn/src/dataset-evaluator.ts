/** Evaluates a model on a labeled data set in slices, so that a thread that also does other work stays responsive. */
import { type Backend, runTogether, type Storage } from '@lockstep/tensor';
import type { LabeledPlan } from './labeled-plan.ts';
import type { TargetValues } from './losses.ts';
import type { Model } from './model.ts';
import { parameterCount } from './parameters.ts';
import type { PredictionPlan } from './prediction-plan.ts';
import type { SampleValues } from './sample-input.ts';
import type { Standardization } from './standardization.ts';

/** Samples, and their classes or values. */
export interface LabeledSamples {
  /** [count, ...sampleShape]. */
  readonly samples: SampleValues;
  readonly count: number;
  readonly targets:
    | {
        readonly type: 'classes';
        readonly labels: Uint8Array | Uint16Array;
        /** Class names, in the order of the class numbers. */
        readonly names?: readonly string[] | undefined;
      }
    | {
        readonly type: 'values';
        readonly values: Float32Array;
        readonly standardization?: Standardization | undefined;
      };
}

/** Returns class indices [count], or values [count, outputs]. */
export function targetsOf({ targets }: LabeledSamples): TargetValues {
  return targets.type === 'classes' ? targets.labels : targets.values;
}

/** Evaluates weights on a fixed set of samples, one slice at a time. */
export interface DatasetEvaluator<Result> {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Result>;
  dispose(): void;
}

/** Accumulates the result of one evaluation. */
export interface Accumulator<Result> {
  /** Takes the output of a slice whose first sample is number `first` of the data set. */
  add(output: Float32Array, first: number): void;
  result(): Result;
}

/** Maximum number of samples in a thread's slice: a few milliseconds of work for the small models of MNIST. */
const mostSliceSamples = 250;
/** Maximum of parameters times samples in a slice: about a tenth of a second of work for dense layers. */
const mostSliceWork = 2 ** 31;

/** Lends memory for weights, [parameters] or longer. */
export interface WeightsMemory {
  take(): Storage;
  give(memory: Storage): void;
}

/**
 * @param createPlan compiles the model for a number of samples
 * @param accumulate creates the accumulator of one evaluation
 * @param memory lends memory to each evaluation; by default the evaluator allocates its own, and keeps it
 */
export function createDatasetEvaluator<Result>(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  createPlan: (backend: Backend, model: Model, samples: number, parameters: Storage) => LabeledPlan | PredictionPlan,
  accumulate: () => Accumulator<Result>,
  memory?: WeightsMemory,
): DatasetEvaluator<Result> {
  const opened = openPlans(backend, model, createPlan, memory);
  const { samples, count } = data;
  const targets = targetsOf(data);
  const [size, targetSize] = [samples.length / count, targets.length / count];
  const { threads = 1 } = backend;
  const sliceSize = sliceSizeOf(model);
  return {
    async evaluate(weights, pause) {
      const plans = opened.begin(weights);
      const accumulator = accumulate();
      try {
        for (let from = 0; from < count; from += threads * sliceSize) {
          const slices = Array.from({ length: threads }, (_, thread) => from + thread * sliceSize)
            .filter((first) => first < count)
            .map((first, thread) => {
              const to = Math.min(count, first + sliceSize);
              const plan = plans(thread, to - first);
              const own = samples.subarray(first * size, to * size);
              const loading = plan.load(own, targets.subarray(first * targetSize, to * targetSize));
              return { first, output: plan.output, programs: [...loading, plan.into(plan.output)] };
            });
          runTogether(
            backend,
            slices.map(({ programs }) => programs),
          );
          for (const { first, output } of slices) accumulator.add(await backend.download(output), first);
          if (from + threads * sliceSize < count) await pause();
        }
      } finally {
        if (memory) opened.release();
      }
      return accumulator.result();
    },
    dispose: opened.release,
  };
}

function sliceSizeOf(model: Model): number {
  return Math.max(1, Math.min(mostSliceSamples, Math.floor(mostSliceWork / parameterCount(model))));
}

/** Manages the weights of an evaluation, and the plans that read them. */
function openPlans<Plan extends { dispose(): void }>(
  backend: Backend,
  model: Model,
  createPlan: (backend: Backend, model: Model, samples: number, parameters: Storage) => Plan,
  memory: WeightsMemory | undefined,
) {
  const size = parameterCount(model);
  let taken: Storage | undefined;
  /** Plans by thread and number of samples, which differs for the shorter last slice. */
  const plans = new Map<string, Plan>();
  return {
    /** Copies the weights. @returns a function that returns the plan of a thread for a number of samples */
    begin(weights: Float32Array): (thread: number, samples: number) => Plan {
      taken ??= memory?.take() ?? backend.allocate(size);
      const parameters = taken.length === size ? taken : backend.slice(taken, 0, size);
      backend.upload(parameters, weights);
      return (thread, samples) => {
        const key = `${thread} ${samples}`;
        const plan = plans.get(key) ?? createPlan(backend, model, samples, parameters);
        plans.set(key, plan);
        return plan;
      };
    },
    release(): void {
      for (const plan of plans.values()) plan.dispose();
      plans.clear();
      if (taken) (memory?.give ?? backend.free.bind(backend))(taken);
      taken = undefined;
    },
  };
}

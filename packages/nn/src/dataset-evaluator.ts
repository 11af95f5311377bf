/** Evaluates a model on a labeled data set in slices, so that a thread which serves others too stays responsive. */
import { type Backend, runTogether, type Storage } from '@lockstep/tensor';
import type { LabeledPlan } from './labeled-plan.ts';
import type { TargetValues } from './losses.ts';
import type { Model } from './model.ts';
import { parameterCount } from './parameters.ts';
import type { PredictionPlan } from './prediction-plan.ts';
import type { SampleValues } from './sample-input.ts';
import type { Standardization } from './standardization.ts';

/** Samples, and the class or the values of each. */
export interface LabeledSamples {
  /** [count, ...sampleShape]. */
  readonly samples: SampleValues;
  readonly count: number;
  readonly targets:
    | { readonly type: 'classes'; readonly labels: Uint8Array | Uint16Array }
    | {
        readonly type: 'values';
        readonly values: Float32Array;
        readonly standardization?: Standardization | undefined;
      };
}

/** Class indices [count], or values [count, outputs]. */
export function targetsOf({ targets }: LabeledSamples): TargetValues {
  return targets.type === 'classes' ? targets.labels : targets.values;
}

/** Measures weights on a fixed set of samples, a slice at a time. */
export interface DatasetEvaluator<Result> {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Result>;
  dispose(): void;
}

interface Accumulator<Result> {
  /** Takes the output of a slice whose first sample is number `first` of the data set. */
  add(output: Float32Array, first: number): void;
  result(): Result;
}

/** Samples in a slice, of which each thread computes one: a few milliseconds of work for the small models of MNIST. */
const sliceSize = 250;

/**
 * @param createPlan compiles the model for so many samples
 * @param accumulate begins the result of one evaluation
 */
export function createDatasetEvaluator<Result>(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  createPlan: (backend: Backend, model: Model, samples: number, parameters: Storage) => LabeledPlan | PredictionPlan,
  accumulate: () => Accumulator<Result>,
): DatasetEvaluator<Result> {
  const parameters = backend.allocate(parameterCount(model));
  /** One for each thread, by the number of samples: that of a whole slice, and that of a shorter last one. */
  const plans = new Map<string, LabeledPlan | PredictionPlan>();
  const planFor = (thread: number, planSamples: number): LabeledPlan | PredictionPlan => {
    const key = `${thread} ${planSamples}`;
    const plan = plans.get(key) ?? createPlan(backend, model, planSamples, parameters);
    plans.set(key, plan);
    return plan;
  };
  const { samples, count } = data;
  const targets = targetsOf(data);
  const [size, targetSize] = [samples.length / count, targets.length / count];
  const { threads = 1 } = backend;
  return {
    async evaluate(weights, pause) {
      backend.upload(parameters, weights);
      const accumulator = accumulate();
      for (let from = 0; from < count; from += threads * sliceSize) {
        const slices = Array.from({ length: threads }, (_, thread) => from + thread * sliceSize)
          .filter((first) => first < count)
          .map((first, thread) => {
            const to = Math.min(count, first + sliceSize);
            const plan = planFor(thread, to - first);
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
      return accumulator.result();
    },
    dispose() {
      for (const plan of plans.values()) plan.dispose();
      backend.free(parameters);
    },
  };
}

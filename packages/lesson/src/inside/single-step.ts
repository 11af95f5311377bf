/** One optimizer step on the gradient of one sample, and its effect on the weights and the sample's loss. */
import {
  createOptimizer,
  learningRateAt,
  type Model,
  type OptimizerConfig,
  optimizerRule,
  parameterLayout,
  parseOptimizer,
} from '@lockstep/nn';
import type { HostBackend } from '@lockstep/tensor';
import { type LabeledSample, lossOf, normOf, type SampleTrace } from './sample-trace.ts';

/** The parameter with the largest gradient, before and after the step. */
export interface SteppedParameter {
  /** Name of its tensor, such as `0.weight`. */
  readonly name: string;
  /** Position in its tensor, one index per axis. */
  readonly at: readonly number[];
  readonly gradient: number;
  readonly before: number;
  readonly after: number;
}

export interface SingleStep {
  /** Optimizer that was applied. */
  readonly rule: OptimizerConfig;
  /**
   * Whether `rule` is the run's optimizer. Plain SGD replaces an optimizer with state, which only the coordinator has.
   */
  readonly isOfRun: boolean;
  /** Learning rate at this step, by the run's schedule. */
  readonly learningRate: number;
  readonly parameter: SteppedParameter;
  /** Euclidean norm of the change of the weights. */
  readonly length: number;
  readonly lossBefore: number;
  readonly lossAfter: number;
}

export interface StepContext {
  readonly weights: Float32Array;
  readonly sample: LabeledSample;
  readonly trace: SampleTrace;
  /** The run's optimizer as plain data. */
  readonly optimizer: unknown;
  /** Number of steps taken before this one. */
  readonly step: number;
}

/** Takes one step. @throws Error if this release does not know the run's optimizer */
export function singleStep(backend: HostBackend, model: Model, context: StepContext): SingleStep {
  const { weights, sample, trace, step } = context;
  const config = parseOptimizer(context.optimizer);
  const isOfRun = optimizerRule(config).slots(config).length === 0;
  const learningRate = learningRateAt(config, step);
  const rule: OptimizerConfig = isOfRun ? config : { type: 'sgd', learningRate };
  const after = stepped(backend, rule, context);
  return {
    rule,
    isOfRun,
    learningRate,
    parameter: largest(model, trace.gradient, weights, after),
    length: normOf(after.map((value, index) => value - weights[index]!)),
    lossBefore: trace.loss,
    lossAfter: lossOf(backend, model, after, sample),
  };
}

/** Returns the weights after the step. */
function stepped(backend: HostBackend, rule: OptimizerConfig, { weights, trace, step }: StepContext): Float32Array {
  const [parameters, gradient] = [weights, trace.gradient].map((values) => {
    const storage = backend.allocate(values.length);
    backend.upload(storage, values);
    return storage;
  });
  const optimizer = createOptimizer(backend, rule, parameters!);
  optimizer.restore({ step, slots: {} });
  optimizer.step(1, gradient!);
  const after = backend.view(parameters!).slice();
  optimizer.dispose();
  backend.free(parameters!);
  backend.free(gradient!);
  return after;
}

function largest(model: Model, gradient: Float32Array, weights: Float32Array, after: Float32Array): SteppedParameter {
  let index = 0;
  for (const [each, value] of gradient.entries()) if (Math.abs(value) > Math.abs(gradient[index]!)) index = each;
  const { name, offset, shape } = parameterLayout(model).find(({ offset: from, size }) => index < from + size)!;
  let rest = index - offset;
  const at = shape
    .toReversed()
    .map((length) => {
      const position = rest % length;
      rest = Math.floor(rest / length);
      return position;
    })
    .reverse();
  return { name, at, gradient: gradient[index]!, before: weights[index]!, after: after[index]! };
}

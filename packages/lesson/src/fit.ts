/** Trains a handful of tensors with a loss function, for chapters about a few neurons. */
import { createOptimizer, type OptimizerConfig } from '@lockstep/nn';
import {
  compile,
  fromArray,
  fromStorage,
  type HostBackend,
  type Shape,
  sizeOf,
  type Tensor,
  valueAndGrad,
} from '@lockstep/tensor';

export interface FitOptions {
  readonly backend: HostBackend;
  readonly config: OptimizerConfig;
  readonly shapes: readonly Shape[];
  /** Initial values of all parameters, one after another. */
  readonly start: Float32Array;
  /** Constant inputs of the loss. */
  readonly given: readonly { readonly values: readonly number[]; readonly shape: Shape }[];
  readonly loss: (parameters: readonly Tensor[], given: readonly Tensor[]) => Tensor;
  readonly steps: number;
  /** Steps between results. By default there is one before training and one after. */
  readonly showEvery?: number;
}

export interface Fit {
  /** Loss before each step so far, and the current loss. */
  readonly losses: readonly number[];
  readonly parameters: Float32Array;
}

/** Takes `steps` steps. Frees what it allocated when it ends or is stopped. */
export function* fit(options: FitOptions): Generator<Fit, void> {
  const { backend, config, shapes, start, given, loss, steps, showEvery = steps } = options;
  const parameters = backend.allocate(start.length);
  backend.upload(parameters, start);
  let offset = 0;
  const tensors = shapes.map((shape) => {
    const own = backend.slice(parameters, offset, sizeOf(shape));
    offset += sizeOf(shape);
    return fromStorage(backend, own, shape);
  });
  const plan = compile(
    backend,
    (...inputs) => {
      const rest = inputs.slice(shapes.length);
      const own = inputs.slice(0, shapes.length);
      const { value, gradients } = valueAndGrad((...leaves) => loss(leaves, rest), own);
      return [...gradients, value];
    },
    [...tensors, ...given.map(({ shape }) => shape)],
  );
  given.forEach(({ values }, index) => {
    backend.upload(plan.inputs[shapes.length + index]!.storage, Float32Array.from(values));
  });
  const optimizer = createOptimizer(backend, config, parameters);
  const losses: number[] = [];
  try {
    for (let step = 0; step <= steps; step++) {
      plan.run();
      losses.push(backend.view(plan.output)[start.length]!);
      if (step % showEvery === 0 || step === steps) {
        yield { losses: [...losses], parameters: backend.view(parameters).slice() };
      }
      if (step < steps) optimizer.step(1, plan.output);
    }
  } finally {
    optimizer.dispose();
    plan.dispose();
    backend.free(parameters);
  }
}

/** Returns the parameters of a fit as tensors, for a computation inside `tidy`. */
export function tensorsOf(backend: HostBackend, parameters: Float32Array, shapes: readonly Shape[]): Tensor[] {
  let offset = 0;
  return shapes.map((shape) => {
    offset += sizeOf(shape);
    return fromArray(backend, parameters.subarray(offset - sizeOf(shape), offset), shape);
  });
}

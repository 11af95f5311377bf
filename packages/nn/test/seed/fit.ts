/** Trains a handful of tensors by a loss given as a function, for claims that are about a few neurons. */
import {
  compile,
  fromStorage,
  type HostBackend,
  openBackend,
  type Shape,
  type Tensor,
  valueAndGrad,
} from '@lockstep/tensor';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import { mersenne } from 'pure-rand/generator/mersenne';
import { createOptimizer, type OptimizerConfig } from '../../src/index.ts';

export async function openHost(): Promise<HostBackend> {
  const { backend } = await openBackend('cpu');
  return backend as HostBackend;
}

/** Evenly from ±bound, fixed by the seed. */
export function evenly(seed: number, bound: number, size: number): Float32Array {
  const generator = mersenne(seed);
  return Float32Array.from({ length: size }, () => (2 * uniformFloat32(generator) - 1) * bound);
}

export interface FitOptions {
  readonly backend: HostBackend;
  readonly config: OptimizerConfig;
  readonly shapes: readonly Shape[];
  /** The first values of all tensors, one after another. */
  readonly start: Float32Array;
  /** Inputs that stay as they are: values and shape. */
  readonly given: readonly { readonly values: readonly number[]; readonly shape: Shape }[];
  readonly loss: (parameters: readonly Tensor[], given: readonly Tensor[]) => Tensor;
  readonly steps: number;
}

export interface Fit {
  /** The loss before each step, and after the last. */
  readonly losses: readonly number[];
  readonly parameters: Float32Array;
}

export function fit({ backend, config, shapes, start, given, loss, steps }: FitOptions): Fit {
  const sizes = shapes.map((shape) => shape.reduce((product, length) => product * length, 1));
  const parameters = backend.allocate(start.length);
  backend.upload(parameters, start);
  let offset = 0;
  const tensors = shapes.map((shape, index) => {
    offset += sizes[index]!;
    return fromStorage(backend, backend.slice(parameters, offset - sizes[index]!, sizes[index]!), shape);
  });
  const plan = compile(
    backend,
    (...inputs) => {
      const rest = inputs.slice(shapes.length);
      const { value, gradients } = valueAndGrad(
        (...microbatches) => loss(microbatches, rest),
        inputs.slice(0, shapes.length),
      );
      return [...gradients, value];
    },
    [...tensors, ...given.map(({ shape }) => shape)],
  );
  given.forEach(({ values }, index) => {
    backend.upload(plan.inputs[shapes.length + index]!.storage, Float32Array.from(values));
  });
  const optimizer = createOptimizer(backend, config, parameters);
  const losses: number[] = [];
  for (let step = 0; step <= steps; step++) {
    plan.run();
    losses.push(backend.view(plan.output)[start.length]!);
    if (step < steps) optimizer.step(1, plan.output);
  }
  return { losses, parameters: backend.view(parameters).slice() };
}

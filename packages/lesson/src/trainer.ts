/** Trains on the engine: parameters, an optimizer, and the compiled plans that read the parameters. */
import { createOptimizer, type Optimizer, type OptimizerType, parseOptimizer, type Schedule } from '@lockstep/nn';
import {
  compile,
  fromArray,
  fromStorage,
  gelu,
  type HostBackend,
  leakyRelu,
  type Plan,
  relu,
  type Shape,
  type Storage,
  sigmoid,
  sizeOf,
  type Tensor,
  tanh,
  valueAndGrad,
} from '@lockstep/tensor';

export type ActivationName = 'none' | 'relu' | 'leakyRelu' | 'gelu' | 'sigmoid' | 'tanh';

/** The nonlinear functions that chapters offer by name. */
export const activationFunctions: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = {
  none: (x) => x,
  relu,
  leakyRelu: (x) => leakyRelu(x, 0.01),
  gelu: (x) => gelu(x),
  sigmoid,
  tanh,
};

export interface OptimizerChoice {
  readonly type: OptimizerType;
  readonly learningRate: number;
  readonly schedule?: Schedule;
  readonly weightDecay?: number;
}

/** Computes a tensor, such as a loss, from parameters and inputs. */
export type TensorFunction = (parameters: readonly Tensor[], inputs: readonly Tensor[]) => Tensor;

export class Trainer {
  /** All parameters, one after another, in backend memory. */
  readonly parameters: Storage;
  readonly #backend: HostBackend;
  readonly #plans = new Map<string, { dispose(): void }>();
  #choice: OptimizerChoice;
  #optimizer: Optimizer;

  /** @param start initial values of all parameters */
  constructor(backend: HostBackend, choice: OptimizerChoice, start: Float32Array) {
    this.#backend = backend;
    this.parameters = backend.allocate(start.length);
    backend.upload(this.parameters, start);
    this.#choice = choice;
    this.#optimizer = createOptimizer(backend, parseOptimizer(choice), this.parameters);
  }

  /** Returns the parameters as tensors that share their memory. */
  tensors(shapes: readonly Shape[]): Tensor[] {
    return splitAt(shapes, (offset, size, shape) =>
      fromStorage(this.#backend, this.#backend.slice(this.parameters, offset, size), shape),
    );
  }

  /** Returns the plan of this name, which `create` compiles when it is first used. */
  plan<Kind extends { dispose(): void }>(name: string, create: () => Kind): Kind {
    const plan = (this.#plans.get(name) as Kind | undefined) ?? create();
    this.#plans.set(name, plan);
    return plan;
  }

  /** Takes an optimizer step on the sum of gradients over `samples`. */
  step(gradient: Storage, samples = 1): void {
    this.#optimizer.step(samples, gradient);
  }

  /** Reads the loss, which follows the gradients in the output of a plan. */
  lossIn(output: Storage): number {
    return this.#backend.view(output)[this.parameters.length]!;
  }

  /** Frees all plans. Exchanges the optimizer, which keeps its state unless its type changes. */
  change(choice: OptimizerChoice): void {
    this.#forgetPlans();
    const before = this.#optimizer;
    this.#optimizer = createOptimizer(this.#backend, parseOptimizer(choice), this.parameters);
    if (choice.type === this.#choice.type) this.#optimizer.restore(before.state());
    before.dispose();
    this.#choice = choice;
  }

  dispose(): void {
    this.#forgetPlans();
    this.#optimizer.dispose();
    this.#backend.free(this.parameters);
  }

  #forgetPlans(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
  }
}

/**
 * Compiles the gradients of a loss, parameter by parameter, followed by the loss or by what is `shown` instead.
 * @param parameters tensors that share the memory of the parameters
 * @param inputs shapes of the other inputs of the loss
 */
export function gradientPlan(
  backend: HostBackend,
  parameters: readonly Tensor[],
  inputs: readonly Shape[],
  loss: TensorFunction,
  shown?: TensorFunction,
): Plan {
  const body = (...all: Tensor[]): Tensor[] => {
    const [own, rest] = [all.slice(0, parameters.length), all.slice(parameters.length)];
    const { value, gradients } = valueAndGrad((...leaves) => loss(leaves, rest), own);
    return [...gradients, shown ? shown(own, rest) : value];
  };
  return compile(backend, body, [...parameters, ...inputs]);
}

interface FitOptions {
  readonly backend: HostBackend;
  readonly optimizer: OptimizerChoice;
  readonly shapes: readonly Shape[];
  /** Initial values of all parameters, one after another. */
  readonly start: Float32Array;
  /** Constant inputs of the loss. */
  readonly given: readonly { readonly values: readonly number[]; readonly shape: Shape }[];
  readonly loss: TensorFunction;
  readonly steps: number;
  /** Steps between results. By default there is one before training and one after. */
  readonly showEvery?: number;
}

interface Fit {
  /** Loss before each step so far, and the current loss. */
  readonly losses: readonly number[];
  readonly parameters: Float32Array;
}

/** Takes `steps` steps. Frees what it allocated when it ends or is stopped. */
export function* fit(options: FitOptions): Generator<Fit, void> {
  const { backend, optimizer, shapes, start, given, loss, steps, showEvery = steps } = options;
  const trainer = new Trainer(backend, optimizer, start);
  const inputs = given.map(({ shape }) => shape);
  const plan = trainer.plan('step', () => gradientPlan(backend, trainer.tensors(shapes), inputs, loss));
  for (const [index, { values }] of given.entries()) {
    backend.upload(plan.inputs[shapes.length + index]!.storage, Float32Array.from(values));
  }
  const losses: number[] = [];
  try {
    for (let step = 0; step <= steps; step++) {
      plan.run();
      losses.push(trainer.lossIn(plan.output));
      if (step % showEvery === 0 || step === steps) {
        yield { losses: [...losses], parameters: backend.view(trainer.parameters).slice() };
      }
      if (step < steps) trainer.step(plan.output);
    }
  } finally {
    trainer.dispose();
  }
}

/** Returns the parameters of a fit as tensors, for a computation inside `tidy`. */
export function tensorsOf(backend: HostBackend, parameters: Float32Array, shapes: readonly Shape[]): Tensor[] {
  return splitAt(shapes, (offset, size, shape) =>
    fromArray(backend, parameters.subarray(offset, offset + size), shape),
  );
}

/** Calls `part` for each shape of tensors that lie one after another. */
function splitAt<Part>(shapes: readonly Shape[], part: (offset: number, size: number, shape: Shape) => Part): Part[] {
  let offset = 0;
  return shapes.map((shape) => {
    offset += sizeOf(shape);
    return part(offset - sizeOf(shape), sizeOf(shape), shape);
  });
}

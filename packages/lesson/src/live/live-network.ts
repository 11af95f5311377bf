/** The network of a live run: its first weights, its outputs, and steps whose settings may change in between. */
import { permutation } from '@lockstep/data';
import { createOptimizer, type Optimizer, type OptimizerConfig, parseOptimizer } from '@lockstep/nn';
import {
  add,
  compile,
  crossEntropy,
  div,
  fromStorage,
  type HostBackend,
  matmul,
  mean,
  mul,
  normal,
  oneHot,
  type Plan,
  type Shape,
  sizeOf,
  softmax,
  sub,
  sum,
  type Tensor,
  uniform,
  valueAndGrad,
} from '@lockstep/tensor';
import { activationFunctions } from '../activation.ts';
import { valuesOf } from '../values.ts';
import type { LiveData } from './live-data.ts';
import type { LiveSettings } from './live-settings.ts';

export class LiveNetwork {
  readonly #backend: HostBackend;
  readonly #data: LiveData;
  readonly #shapes: readonly Shape[];
  readonly #parameters: Plan['output'];
  readonly #nextSamples: (count: number) => number[];
  /** Plans for the current settings, by what they compute. */
  readonly #plans = new Map<string, Plan>();
  #settings: LiveSettings;
  #optimizer: Optimizer;

  constructor(backend: HostBackend, data: LiveData, settings: LiveSettings) {
    this.#backend = backend;
    this.#data = data;
    this.#settings = settings;
    this.#shapes = shapesOf(data, settings);
    this.#parameters = backend.allocate(this.#shapes.reduce((total, shape) => total + sizeOf(shape), 0));
    backend.upload(this.#parameters, firstWeights(backend, this.#shapes, settings));
    this.#nextSamples = sampleStream(data.train.labels.length, settings.seed);
    this.#optimizer = createOptimizer(backend, optimizerOf(settings), this.#parameters);
  }

  get settings(): LiveSettings {
    return this.#settings;
  }

  /** Takes one optimizer step on the next batch. @returns the batch's mean cross-entropy before the step */
  step(): number {
    const [backend, data] = [this.#backend, this.#data];
    const plan = this.#planOf('step', () => gradientPlan(backend, this.#views(), data, this.#settings));
    const [x, labels] = plan.inputs.slice(this.#shapes.length);
    const samples = this.#nextSamples(this.#settings.batch);
    const values = new Float32Array(samples.length * data.inputs);
    for (const [row, sample] of samples.entries()) data.train.write(sample, values, row * data.inputs);
    backend.upload(x!.storage, values);
    backend.upload(
      labels!.storage,
      Float32Array.from(samples, (sample) => data.train.labels[sample]!),
    );
    plan.run();
    const loss = backend.view(plan.output)[this.#parameters.length]!;
    this.#optimizer.step(1, plan.output);
    return loss;
  }

  /** Returns class probabilities [n * classes] for samples [n * inputs]. */
  probabilities(samples: Float32Array): Float32Array {
    const output = this.#computed('probabilities', samples, (parameters, x) =>
      softmax(logitsOf(parameters, x, this.#settings)),
    );
    return output.slice(0, (samples.length / this.#data.inputs) * this.#data.classes);
  }

  /** Returns the outputs of the hidden layers for samples [n * inputs], layer after layer: each [n * width]. */
  hidden(samples: Float32Array): readonly Float32Array[] {
    const { width, depth } = this.#settings;
    const output = this.#computed('hidden', samples, (parameters, x) =>
      layersOf(parameters, x, this.#settings).slice(0, -1),
    );
    const size = (samples.length / this.#data.inputs) * width;
    return Array.from({ length: depth }, (_, layer) => output.slice(layer * size, (layer + 1) * size));
  }

  /** Applies settings that do not affect the parameters. The optimizer keeps its state if its type stays the same. */
  change(settings: LiveSettings): void {
    this.#forgetPlans();
    const before = this.#optimizer;
    const state = settings.optimizer === this.#settings.optimizer ? before.state() : undefined;
    this.#optimizer = createOptimizer(this.#backend, optimizerOf(settings), this.#parameters);
    if (state) this.#optimizer.restore(state);
    before.dispose();
    this.#settings = settings;
  }

  dispose(): void {
    this.#forgetPlans();
    this.#optimizer.dispose();
    this.#backend.free(this.#parameters);
  }

  /**
   * Computes a function of the parameters for samples [n * inputs].
   * @returns a view, valid until the next computation
   */
  #computed(name: string, samples: Float32Array, body: (parameters: Tensor[], x: Tensor) => Tensor | Tensor[]) {
    const shape = [samples.length / this.#data.inputs, this.#data.inputs];
    const plan = this.#planOf(`${name} of ${shape}`, () => {
      const ofInputs = (...inputs: Tensor[]) => body(inputs.slice(0, -1), inputs.at(-1)!);
      return compile(this.#backend, ofInputs, [...this.#views(), shape]);
    });
    this.#backend.upload(plan.inputs.at(-1)!.storage, samples);
    plan.run();
    return this.#backend.view(plan.output);
  }

  #views(): Tensor[] {
    return viewsOf(this.#backend, this.#parameters, this.#shapes);
  }

  #planOf(key: string, create: () => Plan): Plan {
    const plan = this.#plans.get(key) ?? create();
    this.#plans.set(key, plan);
    return plan;
  }

  #forgetPlans(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
  }
}

/** Returns the shapes of weights [inputs, outputs] and biases [outputs], layer after layer. */
function shapesOf({ inputs, classes }: LiveData, { depth, width }: LiveSettings): Shape[] {
  const sizes = [inputs, ...new Array<number>(depth).fill(width), classes];
  return sizes.slice(1).flatMap((outputs, layer) => [[sizes[layer]!, outputs], [outputs]]);
}

function optimizerOf({ optimizer, lr }: LiveSettings): OptimizerConfig {
  return parseOptimizer({ type: optimizer, learningRate: lr });
}

function viewsOf(backend: HostBackend, parameters: Plan['output'], shapes: readonly Shape[]): Tensor[] {
  let offset = 0;
  return shapes.map((shape) => {
    const own = backend.slice(parameters, offset, sizeOf(shape));
    offset += sizeOf(shape);
    return fromStorage(backend, own, shape);
  });
}

const factors = { usual: 1, 'a hundredth': 0.01, 'ten times': 10 } as const;

/**
 * Draws the first weights. Usual weights are uniform in ±1/sqrt(inputs), as in PyTorch's `nn.Linear`. He's weights are
 * normal with a deviation of sqrt(2/inputs), with biases of 0 (He et al. 2015, "Delving deep into rectifiers").
 */
function firstWeights(backend: HostBackend, shapes: readonly Shape[], { start, seed }: LiveSettings): Float32Array {
  const parts = shapes.map((shape, index) => {
    const inputs = shapes[index - (index % 2)]![0]!;
    const key = seed * 100 + index;
    if (start === 'all zero') return new Float32Array(sizeOf(shape));
    if (start === 'He') {
      const deviation = index % 2 === 0 ? Math.sqrt(2 / inputs) : 0;
      return valuesOf(backend, () => mul(normal(backend, shape, key), deviation));
    }
    const bound = factors[start] / Math.sqrt(inputs);
    return valuesOf(backend, () => uniform(backend, shape, key, { low: -bound, high: bound }));
  });
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** Returns logits [rows, classes], divided by the temperature. */
function logitsOf(parameters: readonly Tensor[], x: Tensor, settings: LiveSettings): Tensor {
  return div(layersOf(parameters, x, settings).at(-1)!, settings.temperature);
}

/** Returns the output of each layer: hidden ones [rows, width], then the logits [rows, classes]. */
function layersOf(parameters: readonly Tensor[], x: Tensor, { activation }: LiveSettings): readonly Tensor[] {
  const layers: Tensor[] = [];
  for (let index = 0; index < parameters.length; index += 2) {
    const sums = add(matmul(layers.at(-1) ?? x, parameters[index]!), parameters[index + 1]!);
    layers.push(index + 2 === parameters.length ? sums : activationFunctions[activation](sums));
  }
  return layers;
}

/** Compiles the gradients of a batch's mean loss, parameter by parameter, and its mean cross-entropy. */
function gradientPlan(backend: HostBackend, own: readonly Tensor[], data: LiveData, settings: LiveSettings): Plan {
  const body = (...inputs: Tensor[]): Tensor[] => {
    const [x, labels] = inputs.slice(own.length) as [Tensor, Tensor];
    const lossOf = (logits: Tensor): Tensor => {
      if (settings.loss === 'cross-entropy') return crossEntropy(logits, labels);
      const difference = sub(softmax(logits), oneHot(labels, data.classes));
      return mean(sum(mul(difference, difference), { axes: [1] }));
    };
    const { gradients } = valueAndGrad(
      (...leaves) => lossOf(logitsOf(leaves, x, settings)),
      inputs.slice(0, own.length),
    );
    return [...gradients, crossEntropy(logitsOf(inputs.slice(0, own.length), x, settings), labels)];
  };
  return compile(backend, body, [...own, [settings.batch, data.inputs], [settings.batch]]);
}

/**
 * Returns a function that gives the next indices of samples, in the order that the seed determines, epoch after epoch.
 */
function sampleStream(samples: number, seed: number): (count: number) => number[] {
  let epoch = 0;
  let rest: number[] = [];
  return (count) => {
    while (rest.length < count) rest = [...rest, ...permutation(samples, seed, epoch++)];
    return rest.splice(0, count);
  };
}

/** The network of a live run: its first weights, steps by settings that may change between them, and what it says. */
import { permutation } from '@lockstep/data';
import { createOptimizer, type OptimizerConfig, parseOptimizer } from '@lockstep/nn';
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

export interface LiveNetwork {
  readonly settings: LiveSettings;
  /** One optimizer step on the next batch. @returns its mean cross-entropy before the step */
  step(): number;
  /** Probabilities of the classes for samples [n * inputs]: [n * classes]. */
  probabilities(samples: Float32Array): Float32Array;
  /** What the hidden layers give for samples [n * inputs], layer after layer: each [n * width]. */
  hidden(samples: Float32Array): readonly Float32Array[];
  /** Takes settings that leave the parameters as they are; the optimizer keeps its state where it stays the same. */
  change(settings: LiveSettings): void;
  dispose(): void;
}

export function createLiveNetwork(backend: HostBackend, data: LiveData, first: LiveSettings): LiveNetwork {
  const shapes = shapesOf(data, first);
  const parameters = backend.allocate(shapes.reduce((total, shape) => total + sizeOf(shape), 0));
  backend.upload(parameters, firstWeights(backend, shapes, first));
  const views = (): Tensor[] => viewsOf(backend, parameters, shapes);
  const nextSamples = sampleStream(data.train.labels.length, first.seed);
  const plans = new Map<string, Plan>();
  const planOf = (key: string, create: () => Plan): Plan => {
    const plan = plans.get(key) ?? create();
    plans.set(key, plan);
    return plan;
  };
  const forgetPlans = (): void => {
    for (const plan of plans.values()) plan.dispose();
    plans.clear();
  };
  let settings = first;
  let optimizer = createOptimizer(backend, optimizerOf(first), parameters);
  return {
    get settings() {
      return settings;
    },
    step() {
      const plan = planOf('step', () => gradientPlan(backend, views(), data, settings));
      const [x, labels] = plan.inputs.slice(shapes.length);
      const samples = nextSamples(settings.batch);
      const values = new Float32Array(samples.length * data.inputs);
      for (const [row, sample] of samples.entries()) data.train.write(sample, values, row * data.inputs);
      backend.upload(x!.storage, values);
      backend.upload(
        labels!.storage,
        Float32Array.from(samples, (sample) => data.train.labels[sample]!),
      );
      plan.run();
      const loss = backend.view(plan.output)[parameters.length]!;
      optimizer.step(1, plan.output);
      return loss;
    },
    probabilities(samples) {
      const rows = samples.length / data.inputs;
      const plan = planOf(`${rows}`, () => {
        const body = (...tensors: Tensor[]): Tensor =>
          softmax(logitsOf(tensors.slice(0, -1), tensors.at(-1)!, settings));
        return compile(backend, body, [...views(), [rows, data.inputs]]);
      });
      backend.upload(plan.inputs.at(-1)!.storage, samples);
      plan.run();
      return backend.view(plan.output).slice(0, rows * data.classes);
    },
    hidden(samples) {
      const rows = samples.length / data.inputs;
      const plan = planOf(`hidden ${rows}`, () => {
        const body = (...tensors: Tensor[]): Tensor[] => [
          ...layersOf(tensors.slice(0, -1), tensors.at(-1)!, settings).slice(0, -1),
        ];
        return compile(backend, body, [...views(), [rows, data.inputs]]);
      });
      backend.upload(plan.inputs.at(-1)!.storage, samples);
      plan.run();
      const size = rows * settings.width;
      const output = backend.view(plan.output);
      return Array.from({ length: settings.depth }, (_, layer) => output.slice(layer * size, (layer + 1) * size));
    },
    change(next) {
      forgetPlans();
      const before = optimizer;
      const state = next.optimizer === settings.optimizer ? before.state() : undefined;
      optimizer = createOptimizer(backend, optimizerOf(next), parameters);
      if (state) optimizer.restore(state);
      before.dispose();
      settings = next;
    },
    dispose() {
      forgetPlans();
      optimizer.dispose();
      backend.free(parameters);
    },
  };
}

/** Weights [inputs, outputs] and biases [outputs], layer after layer. */
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
 * Usual weights are uniform in ±1/sqrt(inputs), as PyTorch's `nn.Linear` begins; He's are normal with a deviation of
 * sqrt(2/inputs), and biases of 0 (He et al. 2015, "Delving deep into rectifiers").
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

/** Scores [rows, classes] over the temperature. */
function logitsOf(parameters: readonly Tensor[], x: Tensor, settings: LiveSettings): Tensor {
  return div(layersOf(parameters, x, settings).at(-1)!, settings.temperature);
}

/** What each layer gives: hidden ones [rows, width], then the scores [rows, classes]. */
function layersOf(parameters: readonly Tensor[], x: Tensor, { activation }: LiveSettings): readonly Tensor[] {
  const layers: Tensor[] = [];
  for (let index = 0; index < parameters.length; index += 2) {
    const sums = add(matmul(layers.at(-1) ?? x, parameters[index]!), parameters[index + 1]!);
    layers.push(index + 2 === parameters.length ? sums : activationFunctions[activation](sums));
  }
  return layers;
}

/** The gradients of a batch's mean loss, parameter by parameter, and its mean cross-entropy. */
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

/** Numbers of samples in the order that the seed fixes, epoch after epoch, as many as are asked for. */
function sampleStream(samples: number, seed: number): (count: number) => number[] {
  let epoch = 0;
  let rest: number[] = [];
  return (count) => {
    while (rest.length < count) rest = [...rest, ...permutation(samples, seed, epoch++)];
    return rest.splice(0, count);
  };
}

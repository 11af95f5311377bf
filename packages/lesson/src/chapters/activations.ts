/** Activation functions: their gradients, in one neuron and through many layers, and neurons that die. */
import { add, fromArray, type HostBackend, matmul, mean, mul, normal, sub, sum, type Tensor } from '@lockstep/tensor';
import { choice, count, defineChapter, range } from '../chapter.ts';
import { curves, decimal, table } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { type ActivationName, activationFunctions, fit } from '../trainer.ts';
import { gradientsOf, spaced, valuesOf } from '../values.ts';
import { verdictOf } from '../verdict.ts';

const names = ['relu', 'leakyRelu', 'gelu', 'sigmoid', 'tanh'] as const satisfies readonly ActivationName[];
const xs = spaced(-6, 6, 601);
/** Input of the repeated functions. */
const chainStart = 0.5;
const neuronSteps = 300;

export const activations = defineChapter({
  id: 'activations',
  title: 'Activations and their gradients',
  claim: 'The gradient of relu is 0 or 1. Through ten sigmoids a gradient shrinks to less than a millionth.',
  text: [
    "An [[activation function]] makes the output of a neuron nonlinear. Without one, three layers equal a single layer with the product of their three weight matrices. Training depends on the function's [[gradient]], because [[back-propagation]] multiplies by it in every layer. The sigmoid's gradient is at most a quarter, so ten layers leave less than a millionth: the [[vanishing gradient]]. relu's gradient is exactly 1 or 0.",
    'With relu, a neuron whose sum is negative for every input is a [[dead neuron]]: its gradient is 0, so no step changes it. leakyRelu multiplies negative sums by 0.01. GELU, which Transformers use, is smooth and has a gradient for small negative sums. The neuron in the table starts with a bias that makes all its sums negative. The lower the bias, the longer leakyRelu and GELU take to recover.',
  ],
  live: defineLive({
    caption: 'The same network with another activation',
    hint: 'Without an activation the network cannot learn two spirals; change to relu, and it can. Six layers of sigmoid learn nothing, but six layers of tanh learn the spirals.',
    names: ['data', 'activation', 'depth'],
    first: { activation: 'none' },
  }),
  controls: {
    fn: choice('Function', names, 'relu'),
    depth: count({ label: 'Layers in a row', from: 1, to: 30, fallback: 10 }),
    bias: range({ label: "The neuron's initial bias", from: -3, to: 0, fallback: -0.8, step: 0.1 }),
  },
  *run({ backend }, { fn, depth, bias }) {
    const outputs = valuesOf(backend, () => activationFunctions[fn](fromArray(backend, xs)));
    yield {
      fn,
      depth,
      collapse: (['none', ...names] as const).map((name) => ({ name, difference: collapseOf(backend, name) })),
      outputs,
      slopes: slopesOf(backend, activationFunctions[fn], xs),
      chains: names.map((name) => ({ name, gradient: slopesOf(backend, repeated(name, depth), [chainStart])[0]! })),
      neurons: names.map((name) => ({ name, ...trainNeuron(backend, name, bias) })),
    };
  },
  show: ({ fn, depth, collapse, outputs, slopes, chains, neurons }) => [
    curves(`${fn} and its gradient`, 'x', xs, { [fn]: [...outputs], gradient: [...slopes] }),
    table(
      `The gradient through ${depth} layers, for an input of ${chainStart}`,
      ['function', 'gradient'],
      chains.map(({ name, gradient }) => [name, decimal(gradient, 6)]),
    ),
    table(
      'Three layers against one layer with the product of their matrices',
      ['activation', 'largest difference'],
      collapse.map(({ name, difference }) => [name, decimal(difference, 4)]),
    ),
    table(
      `A neuron with target 1, after ${neuronSteps} steps`,
      ['function', 'first gradient', 'loss before', 'loss after', 'the neuron'],
      neurons.map((neuron) => [
        neuron.name,
        decimal(neuron.firstGradient, 4),
        decimal(neuron.lossBefore),
        decimal(neuron.lossAfter),
        neuron.verdict,
      ]),
    ),
  ],
});

/**
 * Returns the largest difference between three layers and one with the product of their weights, each with activation.
 */
function collapseOf(backend: HostBackend, name: ActivationName): number {
  const activation = activationFunctions[name];
  const [samples, size] = [16, 8];
  const weight = (layer: number): Tensor => mul(normal(backend, [size, size], layer), 1 / Math.sqrt(size));
  const x = (): Tensor => normal(backend, [samples, size], 0);
  const differences = valuesOf(backend, () => {
    const stacked = [1, 2, 3].reduce((values, layer) => activation(matmul(values, weight(layer))), x());
    const atOnce = activation(matmul(x(), matmul(matmul(weight(1), weight(2)), weight(3))));
    return sub(stacked, atOnce);
  });
  return differences.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Returns the derivative of a function at each place. */
function slopesOf(backend: HostBackend, fn: (x: Tensor) => Tensor, at: readonly number[]): Float32Array {
  return gradientsOf(
    backend,
    () => [fromArray(backend, at)],
    (x) => sum(fn(x)),
  ).gradients[0]!;
}

function repeated(name: ActivationName, times: number) {
  return (x: Tensor): Tensor =>
    Array.from({ length: times }).reduce<Tensor>((value) => activationFunctions[name](value), x);
}

/** Trains a neuron with one input from 0 to 1 towards an output of 1. `bias` decides whether it can begin to learn. */
function trainNeuron(backend: HostBackend, name: ActivationName, bias: number) {
  const inputs = { values: [0, 0.25, 0.5, 0.75], shape: [4, 1] };
  const lossOf = ([weight, own]: readonly Tensor[], x: Tensor): Tensor => {
    const difference = sub(activationFunctions[name](add(matmul(x, weight!), own!)), 1);
    return mean(mul(difference, difference));
  };
  const start = Float32Array.of(0.5, bias);
  const { gradients } = gradientsOf(
    backend,
    () => [fromArray(backend, [0.5], [1, 1]), fromArray(backend, [bias])],
    (...parameters) => lossOf(parameters, fromArray(backend, inputs.values, inputs.shape)),
  );
  const training = fit({
    backend,
    optimizer: { type: 'sgd', learningRate: 0.5 },
    shapes: [[1, 1], [1]],
    start,
    given: [inputs],
    loss: (parameters, [x]) => lossOf(parameters, x!),
    steps: neuronSteps,
  });
  const { losses } = [...training].at(-1)!;
  return {
    firstGradient: gradients[1]![0]!,
    lossBefore: losses[0]!,
    lossAfter: losses.at(-1)!,
    verdict: verdictOf({ losses }),
  };
}

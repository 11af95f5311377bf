/** Activation functions: their gradients, in one neuron and through many layers, and neurons that die. */
import { parseOptimizer } from '@lockstep/nn';
import { add, fromArray, type HostBackend, matmul, mean, mul, sub, sum, type Tensor } from '@lockstep/tensor';
import { type ActivationName, activationFunctions } from '../activation.ts';
import { defineChapter } from '../chapter.ts';
import { choice, count, range } from '../controls.ts';
import { fit } from '../fit.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal } from '../number-text.ts';
import { gradientsOf, spaced, valuesOf } from '../values.ts';

const names = ['relu', 'leakyRelu', 'gelu', 'sigmoid', 'tanh'] as const satisfies readonly ActivationName[];
const xs = spaced(-6, 6, 121);
/** Where repeated application starts. */
const chainStart = 0.5;
const neuronSteps = 300;

export const activations = defineChapter({
  id: 'activations',
  title: 'Activations and their gradients',
  claim: "relu's gradient is 0 or 1; through ten sigmoids a gradient shrinks below a millionth.",
  text: [
    "An [[activation function]] bends what a neuron says; without one any number of layers is a single matrix. What counts in training is its [[gradient]], because [[back-propagation]] multiplies by it in every layer. The sigmoid's is a quarter at most, so that ten layers leave less than a millionth: the [[vanishing gradient]]. relu's is exactly 1 wherever it is not 0.",
    'Where it is 0 nothing is learned. A neuron whose sum is negative for every input is a [[dead neuron]]: no step changes it again. leakyRelu lets a hundredth through, and GELU, which Transformers use, bends smoothly, so that just below 0 it still has a gradient. The neuron in the table begins with a bias that makes all its sums negative.',
  ],
  live: defineLive({
    caption: 'The same network with another activation',
    hint: 'Train with none: two spirals stay out of reach, and relu learns them from that step on. Six layers of sigmoid learn nothing, six of tanh do.',
    names: ['data', 'activation', 'depth'],
    first: { activation: 'none' },
  }),
  controls: {
    fn: choice('Function', names, 'relu'),
    depth: count({ label: 'Layers in a row', from: 1, to: 30, fallback: 10 }),
    bias: range({ label: "The neuron's first bias", from: -3, to: 0, fallback: -0.8, step: 0.1 }),
  },
  *run({ backend }, { fn, depth, bias }) {
    const outputs = valuesOf(backend, () => activationFunctions[fn](fromArray(backend, xs)));
    yield {
      fn,
      depth,
      outputs,
      slopes: slopesOf(backend, activationFunctions[fn], xs),
      chains: names.map((name) => ({ name, gradient: slopesOf(backend, repeated(name, depth), [chainStart])[0]! })),
      neurons: names.map((name) => ({ name, ...trainNeuron(backend, name, bias) })),
    };
  },
  show: ({ fn, depth, outputs, slopes, chains, neurons }) => [
    {
      kind: 'curves',
      caption: `${fn} and its gradient`,
      xLabel: 'x',
      x: xs,
      series: [
        { label: fn, values: [...outputs] },
        { label: 'gradient', values: [...slopes] },
      ],
    },
    {
      kind: 'table',
      caption: `The gradient through ${depth} in a row, from ${chainStart}`,
      header: ['function', 'gradient'],
      rows: chains.map(({ name, gradient }) => [name, decimal(gradient, 6)]),
    },
    {
      kind: 'table',
      caption: `A neuron that is to say 1, after ${neuronSteps} steps`,
      header: ['function', 'first gradient', 'loss before', 'loss after', 'it'],
      rows: neurons.map((neuron) => [
        neuron.name,
        decimal(neuron.firstGradient, 4),
        decimal(neuron.lossBefore),
        decimal(neuron.lossAfter),
        neuron.hasMoved ? 'learns' : 'is dead',
      ]),
    },
  ],
});

/** The derivative of a function at each place. */
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

/** A neuron with one input from 0 to 1, whose output is to be 1; `bias` decides whether it can begin to learn. */
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
    config: parseOptimizer({ type: 'sgd', learningRate: 0.5 }),
    shapes: [[1, 1], [1]],
    start,
    given: [inputs],
    loss: (parameters, [x]) => lossOf(parameters, x!),
    steps: neuronSteps,
  });
  const { losses, parameters } = [...training].at(-1)!;
  return {
    firstGradient: gradients[1]![0]!,
    lossBefore: losses[0]!,
    lossAfter: losses.at(-1)!,
    hasMoved: parameters.some((value, index) => value !== start[index]),
  };
}

/** One neuron: weights, bias, activation, and the straight line that it draws. */
import { add, fromArray, type HostBackend, matmul } from '@lockstep/tensor';
import { choice, defineChapter, range } from '../chapter.ts';
import { decimal, figures, table, thousands } from '../exhibit.ts';
import { activationFunctions } from '../trainer.ts';
import { spaced, valuesOf } from '../values.ts';
import { xorGrid, xorInputs, xorPlane, xorTargets } from './xor.ts';

const weight = { from: -3, to: 3, step: 0.1 };
const triedValues = spaced(-3, 3, 25);

export const neuron = defineChapter({
  id: 'neuron',
  title: 'The neuron',
  claim:
    'No single neuron classifies all four cases of XOR correctly, whatever its weights and bias. The best classifies three.',
  text: [
    'A [[neuron]] computes the [[dot product]] of its input and its [[weight|weights]], adds its [[bias]], and passes the sum through an [[activation function]]. The sum is 0 along a straight line. On one side of the line the sum is positive, which stands for 1, and on the other side negative, which stands for 0.',
    'XOR is 1 if exactly one of two inputs is 1. The two corners with a 1 are diagonally opposite, so no straight line separates them from the other two corners. Try it: change the weights and the bias.',
  ],
  controls: {
    w1: range({ label: 'Weight of the first input', fallback: 1, ...weight }),
    w2: range({ label: 'Weight of the second input', fallback: 1, ...weight }),
    bias: range({ label: 'Bias', fallback: -0.5, ...weight }),
    activation: choice('Activation', ['sigmoid', 'tanh', 'relu', 'none'], 'sigmoid'),
  },
  *run({ backend }, { w1, w2, bias, activation }) {
    const sumsAt = (inputs: ArrayLike<number>): Float32Array => weightedSums(backend, inputs, [w1, w2, bias]);
    const activated = (sums: Float32Array): Float32Array =>
      valuesOf(backend, () => activationFunctions[activation](fromArray(backend, sums)));
    const sums = sumsAt(xorInputs);
    yield {
      activation,
      sums,
      outputs: activated(sums),
      field: activated(sumsAt(xorGrid.centers)),
      right: rightOf(sums),
      ...bestOfAll(backend),
    };
  },
  show: ({ activation, sums, outputs, field, right, tried, best }) => [
    xorPlane('Output of the neuron over the plane', field, activation === 'sigmoid' ? 0 : -1, 1),
    figures({ 'correct with these weights': `${right} of 4`, [`best of ${thousands(tried)} neurons`]: `${best} of 4` }),
    table(
      'The four cases',
      ['inputs', 'XOR', 'weighted sum', 'output'],
      xorTargets.map((target, row) => [
        `${xorInputs[2 * row]}, ${xorInputs[2 * row + 1]}`,
        target,
        decimal(sums[row]!),
        decimal(outputs[row]!),
      ]),
    ),
  ],
});

/** Returns `w1 x1 + w2 x2 + b` of each input [n, 2], for each column of [3, neurons]: [n, neurons]. */
function weightedSums(backend: HostBackend, inputs: ArrayLike<number>, neurons: readonly number[]): Float32Array {
  const columns = neurons.length / 3;
  return valuesOf(backend, () => {
    const weights = fromArray(backend, neurons.slice(0, 2 * columns), [2, columns]);
    const biases = fromArray(backend, neurons.slice(2 * columns), [columns]);
    return add(matmul(fromArray(backend, inputs, [inputs.length / 2, 2]), weights), biases);
  });
}

/** Counts the cases of XOR that a neuron classifies correctly: its sum is above 0 exactly if the target is 1. */
function rightOf(sums: ArrayLike<number>): number {
  return xorTargets.filter((target, row) => sums[row]! > 0 === (target === 1)).length;
}

/** Tries every combination of the tried values as the two weights and the bias of a neuron. */
function bestOfAll(backend: HostBackend) {
  const combinations = triedValues.flatMap((first) =>
    triedValues.flatMap((second) => triedValues.map((third) => [first, second, third] as const)),
  );
  const tried = combinations.length;
  const sums = weightedSums(
    backend,
    xorInputs,
    [0, 1, 2].flatMap((part) => combinations.map((each) => each[part]!)),
  );
  const scores = combinations.map((_, neuron) => rightOf([0, 1, 2, 3].map((row) => sums[row * tried + neuron]!)));
  return { tried, best: Math.max(...scores) };
}

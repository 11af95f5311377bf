/** XOR: one neuron cannot learn it, three neurons can. */
import {
  add,
  fromArray,
  type HostBackend,
  matmul,
  mean,
  mul,
  type Shape,
  sigmoid,
  softplus,
  sub,
  type Tensor,
  uniform,
} from '@lockstep/tensor';
import { choice, count, defineChapter, range, type SettingsOf, seedControl } from '../chapter.ts';
import { decimal, figures, lossCurves, type Plane, thousands } from '../exhibit.ts';
import { type ActivationName, activationFunctions, fit, tensorsOf } from '../trainer.ts';
import { planeGrid, valuesOf } from '../values.ts';
import { type Verdict, verdictOf } from '../verdict.ts';

/** [4, 2] */
export const xorInputs = [0, 0, 0, 1, 1, 0, 1, 1];
/** [4, 1] */
export const xorTargets = [0, 1, 1, 0];

const [from, to] = [-0.5, 1.5];
export const xorGrid = planeGrid([from, to], 41);

/** Shows the four points over the values of a function at the centers of `xorGrid`. */
export function xorPlane(caption: string, values: Float32Array, low: number, high: number): Plane {
  const { rows, columns } = xorGrid;
  return {
    kind: 'plane',
    caption,
    x: [from, to],
    y: [from, to],
    field: { rows, columns, values: [...values], low, high },
    points: xorTargets.map((target, index) => {
      const [x, y] = [xorInputs[2 * index]!, xorInputs[2 * index + 1]!];
      return { x, y, label: `${x} XOR ${y} = ${target}`, isOn: target === 1 };
    }),
  };
}

/** Seeds of other first weights to try. */
const triedSeeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
/** Parameters of one neuron, and of two neurons that feed a third. */
const shapesOf: Readonly<Record<'1' | '3', readonly Shape[]>> = {
  '1': [[2, 1], [1]],
  '3': [[2, 2], [2], [2, 1], [1]],
};

const controls = {
  neurons: choice('Neurons', ['1', '3'], '3'),
  activation: choice('Hidden activation', ['tanh', 'relu', 'none'], 'tanh'),
  lr: range({ label: 'Learning rate', from: 0.001, to: 1, fallback: 0.05, step: 0.05, scale: 'log' }),
  steps: count({ label: 'Steps', from: 100, to: 3000, fallback: 1500, step: 100 }),
  // Three neurons with tanh learn XOR from this seed, and so do three with relu.
  seed: { ...seedControl, fallback: 7 },
};

type Settings = SettingsOf<typeof controls>;

export const xor = defineChapter({
  id: 'xor',
  title: 'XOR with one neuron and with three',
  claim:
    'The loss of one neuron on XOR stays at ln 2, no better than a coin toss. Two neurons that feed a third learn XOR.',
  text: [
    'Each of the two hidden neurons draws a line of its own. Their outputs are new coordinates for the four corners, and in these coordinates one line is enough: that is the purpose of a [[hidden layer]]. Without an [[activation function]] between the layers, the network is a product of matrices, which equals a single matrix and cannot learn XOR.',
    'The result of a small network depends on its initial weights. With another [[seed]], training may end with one or two corners wrong. That happens more often with relu, whose neurons can die, than with tanh: try both, and see how many of ten seeds learn XOR.',
  ],
  controls,
  *run({ backend }, settings) {
    const options = { backend, ...settings };
    let tried: readonly Verdict[] = [];
    let own = {} as XorResult;
    for (own of train({ ...options, showEvery: 25 })) yield { ...own, tried };
    for (const each of triedSeeds) {
      tried = [...tried, [...train({ ...options, seed: each })].at(-1)!.verdict];
      yield { ...own, tried };
    }
  },
  show: ({ losses, outputs, right, verdict, field, tried }) => [
    xorPlane(`Output of the network after ${thousands(losses.length - 1)} steps`, field, 0, 1),
    figures({
      loss: decimal(losses.at(-1)!, 4),
      correct: `${right} of 4`,
      'the network': verdict,
      'outputs for 00, 01, 10, 11': Array.from(outputs, (value) => value.toFixed(3)).join(', '),
      [`seeds 1 to ${triedSeeds.length} that learn XOR`]: `${tried.filter((each) => each === 'learns').length} of ${tried.length}`,
    }),
    lossCurves('Loss, and the loss of a coin toss, ln 2', losses, { 'ln 2': Math.LN2 }),
  ],
});

interface TrainOptions extends Settings {
  readonly backend: HostBackend;
  /** Steps between results. By default there is one before training and one after. */
  readonly showEvery?: number;
}

/** Yields the network's outputs for the four points, and its field: the outputs at the centers of `xorGrid`. */
function* train(options: TrainOptions) {
  const { backend, neurons, activation, lr, steps, seed } = options;
  const shapes = shapesOf[neurons];
  const size = neurons === '1' ? 3 : 9;
  const bound = neurons === '1' ? 2 : 1;
  const training = fit({
    backend,
    optimizer: { type: 'adam', learningRate: lr },
    shapes,
    start: valuesOf(backend, () => uniform(backend, [size], seed, { low: -bound, high: bound })),
    given: [
      { values: xorInputs, shape: [4, 2] },
      { values: xorTargets, shape: [4, 1] },
    ],
    loss: (parameters, [x, target]) => crossEntropy(scoresOf(parameters, x!, activation), target!),
    steps,
    showEvery: options.showEvery ?? steps,
  });
  for (const { losses, parameters } of training) {
    const answersAt = (inputs: ArrayLike<number>): Float32Array =>
      valuesOf(backend, () => {
        const x = fromArray(backend, inputs, [inputs.length / 2, 2]);
        return sigmoid(scoresOf(tensorsOf(backend, parameters, shapes), x, activation));
      });
    const outputs = answersAt(xorInputs);
    const right = xorTargets.filter((target, row) => outputs[row]! > 0.5 === (target === 1)).length;
    // Always giving the same answer gets two of the four right.
    const verdict = verdictOf({ losses, accuracy: { chance: 0.5, train: right / 4 } });
    yield { losses, outputs, right, verdict, field: answersAt(xorGrid.centers) };
  }
}

type XorResult = ReturnType<typeof train> extends Generator<infer Result> ? Result : never;

/** Returns scores [n, 1] of inputs [n, 2]; above 0 stands for on. */
function scoresOf(parameters: readonly Tensor[], x: Tensor, activation: ActivationName): Tensor {
  const [weight, bias, ...rest] = parameters;
  const first = add(matmul(x, weight!), bias!);
  return rest.length === 0 ? first : scoresOf(rest, activationFunctions[activation](first), activation);
}

/** Returns the mean cross-entropy of `sigmoid(score)` with targets of 0 and 1: `log(1 + e^score) - target score`. */
function crossEntropy(scores: Tensor, targets: Tensor): Tensor {
  return mean(sub(softplus(scores), mul(targets, scores)));
}

/** Layers: their number of parameters, and the advantage of depth over width. */
import { everyLayer, parameterCount, parseModel } from '@lockstep/nn';
import { add, fromArray, type HostBackend, matmul, relu } from '@lockstep/tensor';
import { count, defineChapter } from '../chapter.ts';
import { curves, percent, shapeText, table, thousands } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { spaced, valuesOf } from '../values.ts';

/** Sizes of GPT-3 (Brown et al. 2020): 96 blocks of six dense layers each, and two embedding tables. */
const gpt3 = { blocks: 96, embedding: 12_288, hidden: 4 * 12_288, vocabulary: 50_257, positions: 2048 };

export const layersChapter = defineChapter({
  id: 'layers',
  title: 'Layers, width and depth',
  claim:
    'A dense layer has (inputs + 1) x outputs parameters: 101,770 in 784-128-10, and 175 billion in GPT-3 by the same formula.',
  text: [
    'A [[dense layer]] connects every input to every neuron: one [[weight]] for each pair, and one [[bias]] for each neuron. It therefore has (inputs + 1) x outputs [[parameter|parameters]]. GPT-3 consists of the same layers. Each of its 96 blocks has four dense layers for [[attention]], from 12,288 numbers to 12,288, and two more, to 49,152 and back.',
    'Cybenko proved in 1989 that one [[hidden layer]] can approximate any continuous function if it is wide enough. A deep network can need far fewer neurons, because each layer reuses the results of the layer before it. The zigzag below is a line that is folded several times. A deep network needs two neurons for each fold. A wide network needs one neuron for each piece, and every fold doubles the number of pieces.',
  ],
  live: defineLive({
    caption: 'Two spirals, by depth and width',
    hint: 'Two neurons per layer are too few at any depth. Eight layers of 4 neurons learn nothing in 2,000 steps, because the gradient shrinks in each layer. Eight layers of 16 neurons learn, but late.',
    names: ['data', 'depth', 'width'],
    first: { width: 4 },
  }),
  controls: {
    inputs: count({ label: 'Inputs', from: 1, to: 1024, fallback: 784 }),
    width: count({ label: 'Neurons in a hidden layer', from: 1, to: 512, fallback: 128 }),
    hidden: count({ label: 'Hidden layers', from: 0, to: 6, fallback: 1 }),
    outputs: count({ label: 'Outputs', from: 2, to: 100, fallback: 10 }),
    folds: count({ label: 'Folds of the zigzag', from: 1, to: 7, fallback: 4 }),
  },
  *run({ backend }, { inputs, width, hidden, outputs, folds }) {
    const sizes = [...new Array<number>(hidden).fill(width), outputs];
    const model = parseModel({
      name: 'network',
      input: [inputs],
      layers: sizes.map((units) => ({ type: 'dense', units })),
    });
    const rows = everyLayer(model).map(({ parameters }) => ({
      parameters: parameters.reduce((sum, { size }) => sum + size, 0),
      tensors: parameters.map(({ shape }) => shape),
    }));
    yield {
      rows,
      total: parameterCount(model),
      byFormula: denseParameters(inputs, ...sizes),
      known: knownNetworks(),
      ...zigzag(backend, folds),
    };
  },
  show: ({ rows, total, known, folds, xs, deep, wide, largestDifference }) => [
    table(
      `${thousands(total)} parameters`,
      ['layer', 'weights', 'biases', 'parameters'],
      rows.map((row, index) => [
        index === rows.length - 1 ? 'output' : `hidden ${index + 1}`,
        ...row.tensors.map(shapeText),
        thousands(row.parameters),
      ]),
    ),
    table(
      'The same formula, from 62 parameters to 175 billion',
      ['network', 'parameters'],
      [
        ['3-5-5-2', thousands(known.small)],
        ['784-128-10', thousands(known.digits)],
        [`GPT-3, dense layers of ${gpt3.blocks} blocks`, thousands(known.gpt3.dense)],
        ['GPT-3, embeddings and normalization', thousands(known.gpt3.rest)],
        ['GPT-3, total', thousands(known.gpt3.total)],
        ['GPT-3, share of dense layers', percent(known.gpt3.dense / known.gpt3.total)],
      ],
    ),
    curves(`A zigzag of ${2 ** folds} pieces`, 'x', xs, { output: [...deep.outputs] }),
    table(
      `Two networks that compute this zigzag; their largest difference is ${largestDifference}`,
      ['network', 'hidden layers', 'neurons', 'parameters'],
      [
        ['deep', folds, 2 * folds, thousands(deep.parameters)],
        ['wide', 1, thousands(2 ** folds), thousands(wide.parameters)],
      ],
    ),
  ],
});

/** Counts the parameters of consecutive dense layers: `(inputs + 1) x outputs` each. */
function denseParameters(...sizes: readonly number[]): number {
  return sizes.slice(1).reduce((sum, outputs, layer) => sum + (sizes[layer]! + 1) * outputs, 0);
}

function knownNetworks() {
  const { blocks, embedding, hidden, vocabulary, positions } = gpt3;
  const attention = 4 * denseParameters(embedding, embedding);
  const dense = blocks * (attention + denseParameters(embedding, hidden, embedding));
  // A layer norm has a scale and a shift for each number: two layer norms per block, and one after the last block.
  const norms = (2 * blocks + 1) * 2 * embedding;
  const rest = (vocabulary + positions) * embedding + norms;
  return {
    small: denseParameters(3, 5, 5, 2),
    digits: denseParameters(784, 128, 10),
    gpt3: { dense, rest, total: dense + rest },
  };
}

function zigzag(backend: HostBackend, folds: number) {
  const xs = spaced(0, 1, 2 ** folds * 8 + 1);
  const computed = (network: readonly Layer[]) => ({
    parameters: network.reduce((sum, { weight, bias }) => sum + weight.length + bias.length, 0),
    outputs: outputsOf(backend, network, xs),
  });
  const [deep, wide] = [computed(deepNetwork(folds)), computed(wideNetwork(folds))];
  const largestDifference = Math.max(...deep.outputs.map((value, index) => Math.abs(value - wide.outputs[index]!)));
  return { folds, xs, deep, wide, largestDifference };
}

interface Layer {
  /** [inputs, outputs] */
  readonly weight: readonly number[];
  readonly bias: readonly number[];
}

/** Builds `folds` hidden layers of two neurons, which apply `2 relu(x) - 4 relu(x - 1/2)` repeatedly. */
function deepNetwork(folds: number): Layer[] {
  const bias = [0, -0.5];
  const rest = Array.from({ length: folds - 1 }, () => ({ weight: [2, 2, -4, -4], bias }));
  return [{ weight: [1, 1], bias }, ...rest, { weight: [2, -4], bias: [0] }];
}

/** Builds a network of one hidden layer, whose neuron k bends the line at `k / 2^folds`. */
function wideNetwork(folds: number): Layer[] {
  const pieces = 2 ** folds;
  const bends = Array.from({ length: pieces }, (_, k) => (k === 0 ? pieces : k % 2 === 1 ? -2 * pieces : 2 * pieces));
  return [
    { weight: new Array(pieces).fill(1), bias: Array.from({ length: pieces }, (_, k) => -k / pieces) },
    { weight: bends, bias: [0] },
  ];
}

/** Computes the network's outputs at each of `xs`, with relu between the layers. */
function outputsOf(backend: HostBackend, network: readonly Layer[], xs: readonly number[]): Float32Array {
  return valuesOf(backend, () =>
    network.reduce(
      (x, { weight, bias }, index) => {
        const sums = add(matmul(x, fromArray(backend, weight, [x.shape[1]!, bias.length])), fromArray(backend, bias));
        return index === network.length - 1 ? sums : relu(sums);
      },
      fromArray(backend, xs, [xs.length, 1]),
    ),
  );
}

/** Layers: how many parameters they have, and what depth gives that width does not. */
import { layerShapes, parameterCount, parameterLayout, parseModel } from '@lockstep/nn';
import type { HostBackend } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { count } from '../controls.ts';
import { defineLive } from '../live/live-settings.ts';
import { shapeText, thousands } from '../number-text.ts';
import { deepNetwork, outputsOf, parametersOf, wideNetwork } from '../tent-networks.ts';
import { spaced } from '../values.ts';

export const layers = defineChapter({
  id: 'layers',
  title: 'Layers, width and depth',
  claim: 'A dense layer has (inputs + 1) x outputs parameters; 784-128-10 has 101,770.',
  text: [
    'A [[dense layer]] joins every input to every neuron: one [[weight]] for each pair, and one [[bias]] for each neuron. Its [[parameter|parameters]] are therefore (inputs + 1) x outputs.',
    'One [[hidden layer]] can approximate any continuous function, if it is wide enough. What it lacks is reuse: the zigzag below folds a line, and folds the folded line again. A deep network needs two neurons for each fold; a wide one needs a neuron for each piece, and the pieces double with every fold.',
  ],
  live: defineLive({
    caption: 'Two spirals, by depth and width',
    hint: 'Two neurons a layer are too few, whatever the depth. Eight layers see no gradient for many steps, since the usual first weights shrink it in each layer.',
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
    const [shapes, layout] = [layerShapes(model), parameterLayout(model)];
    const rows = model.layers.map((_, index) => ({
      inputs: shapes[index]![0]!,
      outputs: shapes[index + 1]![0]!,
      parameters: layout.filter(({ layer }) => layer === index).reduce((sum, { size }) => sum + size, 0),
      tensors: layout.filter(({ layer }) => layer === index).map(({ shape }) => shape),
    }));
    yield { rows, total: parameterCount(model), ...zigzag(backend, folds) };
  },
  show: ({ rows, total, folds, xs, deep, wide, largestDifference }) => [
    {
      kind: 'table',
      caption: `${thousands(total)} parameters`,
      header: ['layer', 'inputs', 'outputs', 'weights and biases', 'parameters'],
      rows: rows.map((row, index) => [
        index === rows.length - 1 ? 'output' : `hidden ${index + 1}`,
        row.inputs,
        row.outputs,
        row.tensors.map(shapeText).join(' + '),
        thousands(row.parameters),
      ]),
    },
    {
      kind: 'curves',
      caption: `A zigzag of ${2 ** folds} pieces`,
      xLabel: 'x',
      x: xs,
      series: [{ label: 'output', values: [...deep.outputs] }],
    },
    {
      kind: 'table',
      caption: `Two networks that compute it; their largest difference is ${largestDifference}`,
      header: ['network', 'hidden layers', 'neurons', 'parameters'],
      rows: [
        ['deep', folds, 2 * folds, thousands(deep.parameters)],
        ['wide', 1, thousands(2 ** folds), thousands(wide.parameters)],
      ],
    },
  ],
});

function zigzag(backend: HostBackend, folds: number) {
  const xs = spaced(0, 1, 2 ** folds * 8 + 1);
  const [deep, wide] = [deepNetwork(folds), wideNetwork(folds)].map((network) => ({
    parameters: parametersOf(network),
    outputs: outputsOf(backend, network, xs),
  })) as [Zigzag, Zigzag];
  const largestDifference = Math.max(...deep.outputs.map((value, index) => Math.abs(value - wide.outputs[index]!)));
  return { folds, xs, deep, wide, largestDifference };
}

interface Zigzag {
  readonly parameters: number;
  readonly outputs: Float32Array;
}

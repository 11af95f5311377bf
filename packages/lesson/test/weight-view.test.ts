/** Weights appear as pictures if the first layer reads pixels, and always as histograms of every layer. */
import { initialize, type Model, parseModel, resolveModel } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { viewWeights } from '../src/inside.ts';

const table: Model = parseModel({
  name: 'table',
  input: [5],
  layers: [{ type: 'dense', units: 7 }, { type: 'tanh' }, { type: 'dense', units: 3 }],
});
const seed = 3;

describe('weights to look at', () => {
  const shapes = [
    { name: 'mlp', model: resolveModel('mlp'), sample: [28, 28, 1], expected: ['neurons', 128, 128, 28, 28] },
    { name: 'cnn', model: resolveModel('cnn'), sample: [28, 28, 1], expected: ['filters', 8, 8, 5, 5] },
    {
      name: 'mlp in color',
      model: resolveModel('mlp', { sampleShape: [4, 6, 3], outputs: 2 }),
      sample: [4, 6, 3],
      expected: ['neurons', 128, 128, 4, 6],
    },
    {
      name: 'a wide layer',
      model: parseModel({ name: 'wide', input: [4], layers: [{ type: 'dense', units: 300 }] }),
      sample: [2, 2, 1],
      expected: ['neurons', 256, 300, 2, 2],
    },
  ] as const;
  test.each(shapes)('$name has pictures', ({ model, sample, expected }) => {
    const weights = initialize(model, seed);
    const view = viewWeights(model, sample, weights);
    if (view.kind !== 'pictures') throw new Error(view.reason);
    const { of, count, total, rows, columns, channels, values, scale } = view;
    expect([of, count, total, rows, columns]).toEqual(expected);
    const random = randomStream(seed);
    for (let trial = 0; trial < 50; trial++) {
      const [picture, pixel] = [count, rows * columns].map((limit) => Math.floor(random() * limit)) as [number, number];
      const read = Array.from(
        { length: channels },
        (_, channel) => weights[(pixel * channels + channel) * total + picture]!,
      );
      const mean = read.reduce((sum, value) => sum + value, 0) / channels;
      expect(values[picture * rows * columns + pixel]).toBeCloseTo(mean, 6);
    }
    const larger = values.filter((value) => Math.abs(value) > scale).length;
    expect(larger / values.length).toBeLessThanOrEqual(0.02);
  });

  test('rows of a table have histograms of all values, and a reason', () => {
    const weights = initialize(table, seed);
    const view = viewWeights(table, [5], weights);
    if (view.kind !== 'histograms') throw new Error('expected histograms');
    expect(view.reason).toBe('A sample is a row of 5 values, so the weights of a neuron make no picture.');
    expect(view.histograms.map(({ name }) => name)).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
    const counted = view.histograms.flatMap(({ counts }) => counts).reduce((sum, count) => sum + count, 0);
    expect(counted).toBe(weights.length);
  });

  test('a dense layer behind pooling reads no pixels', () => {
    const layers = [{ type: 'maxPool2d', window: 2 }, { type: 'flatten' }, { type: 'dense', units: 2 }];
    const model = parseModel({ name: 'pooled', input: [4, 4, 1], layers });
    expect(viewWeights(model, [4, 4, 1], initialize(model, seed))).toMatchObject({
      kind: 'histograms',
      reason: 'The first dense layer reads 4 values that are no pixels, so its weights make no picture.',
    });
  });
});

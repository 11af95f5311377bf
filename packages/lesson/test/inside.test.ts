/** The view of a live network computes what the engine's own plans do, and shows weights as pictures or histograms. */
import { classField, valueField } from '@lockstep/data';
import {
  createMicrobatchGradient,
  createPrediction,
  initialize,
  type Model,
  parameterCount,
  parseModel,
  resolveModel,
} from '@lockstep/nn';
import { type HostBackend, randomStream } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { causalModel, useCausalLayer } from '../../nn/test/causal-layer.ts';
import {
  chapters,
  gradientTable,
  insideParts,
  type LabeledSample,
  partsOf,
  partsOfChapter,
  predictionTable,
  traceSample,
} from '../src/index.ts';
import { viewWeights } from '../src/inside.ts';
import { openContext } from './context.ts';

useCausalLayer();

const table: Model = parseModel({
  name: 'table',
  input: [5],
  layers: [{ type: 'dense', units: 7 }, { type: 'tanh' }, { type: 'dense', units: 3 }],
});
const seed = 3;
const pixels = Uint8Array.from({ length: 784 }, (_, index) => (index % 3 === 0 ? (index * 37) % 256 : 0));

/** Inner layers come before the layer that holds them. */
const nested: Model = parseModel({
  name: 'nested',
  input: [5],
  layers: [
    { type: 'residual', layers: [{ type: 'dense', units: 5 }, { type: 'tanh' }] },
    { type: 'dense', units: 3 },
  ],
});

const cases: readonly { readonly name: string; readonly model: Model; readonly sample: LabeledSample }[] = [
  { name: 'mlp', model: resolveModel('mlp'), sample: { values: pixels, target: 4 } },
  { name: 'cnn', model: resolveModel('cnn'), sample: { values: pixels, target: 9 } },
  { name: 'nested', model: nested, sample: { values: Float32Array.of(1, -2, 0, 0.5, 3), target: 2 } },
  {
    name: 'constants in a layer',
    model: causalModel,
    sample: { values: Float32Array.from({ length: 12 }, (_, at) => at / 12 - 0.5), target: 1 },
  },
  { name: 'table', model: table, sample: { values: Float32Array.of(1, -2, 0, 0.5, 3), target: 2 } },
  {
    name: 'table of values',
    model: table,
    sample: { values: Float32Array.of(1, -2, 0, 0.5, 3), target: Float32Array.of(0.5, -1, 2) },
  },
];

/** Returns a storage with these values. */
function stored(backend: HostBackend, values: Float32Array) {
  const storage = backend.allocate(values.length);
  backend.upload(storage, values);
  return storage;
}

/** Turns -0 into 0, as adding zeros does. */
function plain(values: Float32Array): number[] {
  return Array.from(values, (value) => value + 0);
}

describe.each(cases)('a sample in $name', ({ model, sample }) => {
  const weights = initialize(model, seed);

  test("has the outputs, the loss and the gradient of the engine's plans, to the bit", async () => {
    const { backend } = await openContext();
    const trace = traceSample(backend, model, weights, sample);
    const parameters = stored(backend, weights);
    const prediction = createPrediction(backend, model, 1, parameters);
    prediction.run(sample.values);
    expect(trace.layers.at(-1)!.values).toEqual(backend.view(prediction.output).slice());
    const { target } = sample;
    const isClass = typeof target === 'number';
    const plan = createMicrobatchGradient(backend, model, 1, parameters, {
      targetField: isClass ? classField : valueField([target.length]),
    });
    plan.run(sample.values, isClass ? Uint16Array.of(target) : target);
    const expected = backend.view(plan.output);
    expect(plain(trace.gradient)).toEqual(plain(expected.subarray(0, weights.length)));
    expect(trace.loss).toBe(expected[weights.length]);
  });

  test('has gradients of every layer', async () => {
    const { backend } = await openContext();
    const { layers, gradient } = traceSample(backend, model, weights, sample);
    const inOrder = (list: Model['layers']): string[] =>
      list.flatMap((layer) => [...('layers' in layer ? inOrder(layer.layers) : []), layer.type]);
    expect(layers.map(({ type }) => type)).toEqual(inOrder(model.layers));
    for (const { values, gradient: own } of layers) expect(own.length).toBe(values.length);
    const tensors = layers.flatMap(({ parameters }) => parameters);
    expect(tensors.reduce((total, { size }) => total + size, 0)).toBe(parameterCount(model));
    const squares = tensors.reduce((total, { norm }) => total + norm * norm, 0);
    expect(Math.sqrt(squares)).toBeCloseTo(Math.hypot(...gradient), 5);
    expect(tensors.reduce((total, { zeros }) => total + zeros, 0)).toBe(gradient.filter((value) => value === 0).length);
  });
});

test.each(cases)('the last layer of $name has the gradient of the loss by its outputs', async ({ model, sample }) => {
  const { backend } = await openContext();
  const { layers, probabilities } = traceSample(backend, model, initialize(model, seed), sample);
  const { values, gradient } = layers.at(-1)!;
  const { target } = sample;
  if (typeof target !== 'number') {
    // Gradient of the mean of squares: twice the difference, over the number of outputs.
    expect(probabilities).toBeUndefined();
    for (const [at, value] of gradient.entries()) {
      expect(value).toBeCloseTo((2 * (values[at]! - target[at]!)) / target.length, 5);
    }
    return;
  }
  expect(probabilities!.reduce((total, value) => total + value, 0)).toBeCloseTo(1, 6);
  // Gradient of cross-entropy: the probability, less 1 for the label.
  for (const [label, value] of gradient.entries()) {
    expect(value).toBeCloseTo(probabilities![label]! - (label === target ? 1 : 0), 5);
  }
});

test('a sample of another size, and weights of another model, are refused with both sizes', async () => {
  const { backend } = await openContext();
  const { model, sample } = cases[0]!;
  const weights = initialize(model, seed);
  const short = { ...sample, values: pixels.subarray(1) };
  expect(() => traceSample(backend, model, weights, short)).toThrow('expected 784 bytes, got 783');
  expect(() => traceSample(backend, model, weights.subarray(1), sample)).toThrow('expected 101770 values, got 101769');
});

describe('the exhibits of a sample', () => {
  test("of values are the prediction and the target in the values' own unit", async () => {
    const { backend } = await openContext();
    const valued = cases.find(({ name }) => name === 'table of values')!.sample;
    const trace = traceSample(backend, table, initialize(table, seed), valued);
    const standardization = { mean: 1000, deviation: 200 };
    const names = ['price', 'weight', 'height'];
    const outputs = trace.layers.at(-1)!.values;
    const right = valued.target as Float32Array;
    const squares = right.reduce((total, value, at) => total + (outputs[at]! - value) ** 2, 0);
    expect(trace.loss).toBeCloseTo(squares / 3, 5);
    const prediction = predictionTable(trace, names, standardization);
    if (prediction.kind !== 'table') throw new Error('expected a table');
    expect(prediction.rows.map(([name, , target]) => [name, target])).toEqual([
      ['price', '1100'],
      ['weight', '800'],
      ['height', '1400'],
    ]);
    for (const [at, [, predicted, , difference]] of prediction.rows.entries()) {
      expect(Number(predicted)).toBeCloseTo(outputs[at]! * 200 + 1000, 2);
      expect(Number(difference)).toBeCloseTo((outputs[at]! - right[at]!) * 200, 2);
    }
    expect(() =>
      traceSample(backend, table, initialize(table, seed), { ...valued, target: right.subarray(1) }),
    ).toThrow('target: expected 3 values, got 2');
  });

  test('have the norm and the zeros of every tensor', async () => {
    const { backend } = await openContext();
    const { model, sample } = cases[0]!;
    const trace = traceSample(backend, model, initialize(model, seed), sample);
    const gradient = gradientTable(trace);
    if (gradient.kind !== 'table') throw new Error('expected a table');
    const tensors = trace.layers.flatMap(({ parameters }) => parameters);
    expect(gradient.rows.map(([name]) => name)).toEqual(tensors.map(({ name }) => `dense, ${name}`));
    expect(gradient.rows.map((row) => row[2])).toEqual(tensors.map(({ norm }) => norm.toFixed(4)));
  });
});

test('parts name chapters that exist and terms of the glossary, and chapters find their parts', () => {
  for (const { id, text, chapters: named } of insideParts) {
    expect(id).toMatch(/^[a-z]+$/);
    expect(partsOf(text).length).toBeGreaterThan(0);
    for (const chapter of named) {
      expect(chapters.map((each) => each.id)).toContain(chapter);
      expect(partsOfChapter(chapter).map((part) => part.id)).toContain(id);
    }
  }
});

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
    if (view.kind !== 'pictures') throw new Error(view.text);
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

  test('rows of a table have histograms of all values, and no word about pixels', () => {
    const weights = initialize(table, seed);
    const view = viewWeights(table, [5], weights);
    if (view.kind !== 'histograms') throw new Error('expected histograms');
    expect(view.text).toBe('Each neuron of the first layer multiplies its inputs by its own weights.');
    expect(view.histograms.map(({ name }) => name)).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
    const counted = view.histograms.flatMap(({ counts }) => counts).reduce((sum, count) => sum + count, 0);
    expect(counted).toBe(weights.length);
  });

  test('a dense layer behind pooling reads no pixels', () => {
    const layers = [{ type: 'maxPool2d', window: 2 }, { type: 'flatten' }, { type: 'dense', units: 2 }];
    const model = parseModel({ name: 'pooled', input: [4, 4, 1], layers });
    expect(viewWeights(model, [4, 4, 1], initialize(model, seed))).toMatchObject({
      kind: 'histograms',
      text: 'The first dense layer reads 4 values that are not pixels, so its weights make no picture.',
    });
  });
});

import { readFileSync } from 'node:fs';
import type { HostBackend } from '@lockstep/tensor';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createPrediction,
  everyLayer,
  initialize,
  parameterCount,
  parseModel,
  readModelFile,
  readSafetensors,
  resolveModel,
  writeModelFile,
} from '../src/index.ts';
import { backends, uploadInitial } from './backends.ts';
import { goldens, layerGoldens, mnistBatch } from './goldens.ts';

const model = resolveModel('cnn');
const { seed } = goldens;

/** The model of `layers_run` in make_goldens.py: every kind of layer over images. */
const everyKind = parseModel({
  name: 'every-layer',
  input: [9, 8, 2],
  layers: [
    { type: 'conv2d', filters: 3, kernel: 3, padding: 1 },
    { type: 'gelu' },
    { type: 'maxPool2d', window: 2 },
    { type: 'conv2d', filters: 4, kernel: 2, stride: 2 },
    { type: 'leakyRelu', slope: 0.2 },
    { type: 'averagePool2d', window: 2, stride: 1, padding: 1 },
    { type: 'tanh' },
    { type: 'flatten' },
    { type: 'sigmoid' },
    { type: 'dropout', rate: 0.5 },
    { type: 'dense', units: 6 },
    { type: 'softplus' },
    { type: 'dense', units: 3 },
  ],
});
const savedByTorch = readFileSync(new URL('../goldens/layers.safetensors', import.meta.url));

describe('cnn', () => {
  test('is two convolutions with pooling and a dense layer', () => {
    expect(everyLayer(model).map(({ output }) => output)).toEqual([
      [28, 28, 8],
      [28, 28, 8],
      [14, 14, 8],
      [14, 14, 16],
      [14, 14, 16],
      [7, 7, 16],
      [784],
      [10],
    ]);
    expect(parameterCount(model)).toBe(5 * 5 * 8 + 8 + (5 * 5 * 8 * 16 + 16) + (784 * 10 + 10));
  });
});

describe.each(backends)('on $name', ({ open }) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await open();
  });

  test('a model that PyTorch saved, with every kind of layer, gives the scores of PyTorch', () => {
    const parameters = backend.allocate(parameterCount(everyKind));
    backend.upload(parameters, readModelFile(everyKind, savedByTorch));
    const prediction = createPrediction(backend, everyKind, 5, parameters);
    prediction.run(Uint8Array.from(layerGoldens.pixels));
    const scores = [...backend.view(prediction.output)];
    for (const [index, expected] of layerGoldens.logits.entries()) {
      expect(Math.abs(scores[index]! - expected), `score ${index}`).toBeLessThan(1e-6);
    }
  });

  test('a sample gets the same bits alone as among others', () => {
    const parameters = uploadInitial(backend, model, 3);
    const { pixels } = mnistBatch(1);
    const whole = createPrediction(backend, model, 16, parameters);
    whole.run(pixels.subarray(0, 16 * 784));
    const scores = backend.view(whole.output).slice();
    const one = createPrediction(backend, model, 1, parameters);
    for (const sample of [0, 5, 15]) {
      one.run(pixels.subarray(sample * 784, (sample + 1) * 784));
      expect(backend.view(one.output).slice()).toEqual(scores.slice(sample * 10, sample * 10 + 10));
    }
  });
});

describe('files', () => {
  test('have the names, shapes and numbers that PyTorch saves', () => {
    const theirs = readSafetensors(savedByTorch).tensors;
    const ours = readSafetensors(writeModelFile(everyKind, initialize(everyKind, seed))).tensors;
    expect(ours.map(({ name, shape }) => ({ name, shape }))).toEqual(
      ['0', '3', '10', '12'].flatMap((layer) =>
        ['weight', 'bias'].map((suffix) => {
          const name = `${layer}.${suffix}`;
          return { name, shape: theirs.find((tensor) => tensor.name === name)!.shape };
        }),
      ),
    );
    for (const { name, values } of ours) expect(values).toEqual(theirs.find((tensor) => tensor.name === name)!.values);
  });
});

describe('initializers', () => {
  const layers = (init: object) => [
    { type: 'conv2d', filters: 4, kernel: 3, ...init },
    { type: 'flatten' },
    { type: 'dense', units: 5, ...init },
  ];
  const of = (list: readonly object[]) => parseModel({ name: 'init', input: [5, 6, 2], layers: list });

  test('are those of torch.nn.init', () => {
    const [conv, flat, dense] = layers({});
    const chosen = of([{ ...conv, init: 'xavier' }, flat!, { ...dense, init: 'kaiming' }]);
    const { tensors } = readSafetensors(writeModelFile(chosen, initialize(chosen, seed)));
    const close = (got: Float32Array, expected: readonly number[]) => {
      expect(got.length).toBe(expected.length);
      for (const [index, value] of got.entries()) expect(Math.abs(value - expected[index]!)).toBeLessThan(1e-7);
    };
    close(tensors[0]!.values, layerGoldens.xavierConv2d);
    close(tensors[2]!.values, layerGoldens.kaimingDense);
    expect([...tensors[1]!.values, ...tensors[3]!.values].every((value) => value === 0)).toBe(true);
  });

  test('zeros are zeros', () => {
    const zeros = of(layers({ init: 'zeros' }));
    expect(initialize(zeros, 1).every((value) => value === 0)).toBe(true);
  });
});

describe('convolutions that do not fit', () => {
  const model = (layers: readonly object[], input = [4, 4, 1]) => ({ name: 'bad', input, layers });
  test.each<[unknown, string]>([
    [
      model([{ type: 'conv2d', filters: 2, kernel: 3 }], [16]),
      'layers[0] (conv2d): expected a sample of [height, width, channels], got [16]',
    ],
    [model([{ type: 'conv2d', kernel: 3 }]), 'layers[0].filters: expected a value, got none'],
    [
      model([{ type: 'conv2d', filters: 2, kernel: 3, init: 'ones' }]),
      'layers[0].init: expected one of kaiming, xavier, zeros, or { "normal": a deviation above 0 }, got "ones"',
    ],
  ])('%#', (data, message) => {
    expect(() => parseModel(data)).toThrow(new Error(message));
  });
});

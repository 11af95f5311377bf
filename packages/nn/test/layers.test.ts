/** Every layer of the table: its shapes, its parameters in PyTorch's layout, and its gradient. */
import type { HostBackend, Shape } from '@lockstep/tensor';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  createPrediction,
  embeddingOf,
  everyLayer,
  initialize,
  inputSize,
  type Layer,
  type LayerType,
  type Model,
  parameterLayout,
  parseDescription,
  parseModel,
  readModelFile,
  readSafetensors,
  summary,
  writeModelFile,
} from '../src/index.ts';
import { sequenceLayers } from '../src/sequence-layers.ts';
import { backends } from './backends.ts';

interface LayerCase {
  readonly layer: Layer;
  /** Layers that it needs before it. */
  readonly before?: readonly Layer[];
  /** Shapes of one sample before and after the layer. */
  readonly input: Shape;
  readonly output: Shape;
  /** Our shape and PyTorch's of each parameter, by name. */
  readonly parameters: Readonly<Record<string, { readonly shape: Shape; readonly torch: Shape }>>;
  /** A layer that does not fit its input or is malformed, and the expected error message. */
  readonly refused: { readonly layer: object; readonly input?: Shape; readonly message: string };
}

/** Returns the case of an elementwise layer, including the error for an unknown setting. */
function elementwise(layer: Layer): LayerCase {
  const refused = { layer: { ...layer, size: 1 }, message: 'layers[0].size: unknown entry' };
  return { layer, input: [6], output: [6], parameters: {}, refused };
}

/** The compiler requires an entry for every layer of the table. */
const cases = {
  dense: {
    layer: { type: 'dense', units: 4 },
    input: [6],
    output: [4],
    parameters: { '0.weight': { shape: [6, 4], torch: [4, 6] }, '0.bias': { shape: [4], torch: [4] } },
    refused: {
      layer: { type: 'dense', units: 2 },
      input: [4, 4, 1],
      message: 'layers[0] (dense): expected a sample of one or two axes, got [4, 4, 1]; flatten an image first',
    },
  },
  conv2d: {
    layer: { type: 'conv2d', filters: 3, kernel: 2, stride: 2, padding: 1 },
    input: [5, 4, 2],
    output: [3, 3, 3],
    parameters: { '0.weight': { shape: [2, 2, 2, 3], torch: [3, 2, 2, 2] }, '0.bias': { shape: [3], torch: [3] } },
    refused: {
      layer: { type: 'conv2d', filters: 2, kernel: 5 },
      input: [4, 4, 1],
      message: 'layers[0] (conv2d): expected an image at least as large as the 5 x 5 window with padding 0, got 4 x 4',
    },
  },
  maxPool2d: {
    layer: { type: 'maxPool2d', window: 2 },
    input: [5, 4, 2],
    output: [2, 2, 2],
    parameters: {},
    refused: {
      layer: { type: 'maxPool2d', window: 2, padding: 2 },
      input: [4, 4, 1],
      message: 'layers[0] (maxPool2d): expected a padding of at most half the window of 2, got 2',
    },
  },
  averagePool2d: {
    layer: { type: 'averagePool2d', window: 3, stride: 1, padding: 1 },
    input: [5, 4, 2],
    output: [5, 4, 2],
    parameters: {},
    refused: {
      layer: { type: 'averagePool2d', window: 3 },
      input: [16],
      message: 'layers[0] (averagePool2d): expected a sample of [height, width, channels], got [16]',
    },
  },
  flatten: { ...elementwise({ type: 'flatten' }), input: [5, 4, 2], output: [40] },
  dropout: {
    ...elementwise({ type: 'dropout', rate: 0.5 }),
    refused: {
      layer: { type: 'dropout', rate: 1 },
      message: 'layers[0].rate: expected a number from 0 to below 1, got 1',
    },
  },
  relu: elementwise({ type: 'relu' }),
  leakyRelu: elementwise({ type: 'leakyRelu', slope: 0.2 }),
  gelu: elementwise({ type: 'gelu' }),
  sigmoid: elementwise({ type: 'sigmoid' }),
  tanh: elementwise({ type: 'tanh' }),
  softplus: elementwise({ type: 'softplus' }),
  softsign: elementwise({ type: 'softsign' }),
  residual: {
    layer: {
      type: 'residual',
      layers: [
        { type: 'dense', units: 2 },
        { type: 'tanh' },
        { type: 'residual', layers: [{ type: 'softplus' }] },
        { type: 'dense', units: 6 },
      ],
    },
    input: [6],
    output: [6],
    parameters: {
      '0.0.weight': { shape: [6, 2], torch: [2, 6] },
      '0.0.bias': { shape: [2], torch: [2] },
      '0.3.weight': { shape: [2, 6], torch: [6, 2] },
      '0.3.bias': { shape: [6], torch: [6] },
    },
    refused: {
      layer: { type: 'residual', layers: [{ type: 'dense', units: 2 }] },
      message: 'layers[0] (residual): expected layers that keep the shape [6], got [2]',
    },
  },
  embedding: {
    layer: { type: 'embedding', tokens: 5, width: 3 },
    input: [4],
    output: [4, 3],
    parameters: { '0.weight': { shape: [5, 3], torch: [5, 3] } },
    refused: {
      layer: { type: 'embedding', tokens: 5, width: 3 },
      input: [4, 2],
      message: 'layers[0] (embedding): expected a sample of [positions], got [4, 2]',
    },
  },
  positions: {
    layer: { type: 'positions', init: { normal: 0.5 } },
    input: [4, 3],
    output: [4, 3],
    parameters: { '0.weight': { shape: [4, 3], torch: [4, 3] } },
    refused: {
      layer: { type: 'positions', init: { normal: 0 } },
      message:
        'layers[0].init: expected one of kaiming, xavier, zeros, or { "normal": a deviation above 0 }, got an object',
    },
  },
  layerNorm: {
    layer: { type: 'layerNorm', epsilon: 0.1 },
    input: [4, 3],
    output: [4, 3],
    parameters: { '0.weight': { shape: [3], torch: [3] }, '0.bias': { shape: [3], torch: [3] } },
    refused: {
      layer: { type: 'layerNorm', epsilon: 0 },
      message: 'layers[0].epsilon: expected a number above 0, got 0',
    },
  },
  attention: {
    layer: { type: 'attention', heads: 2, dropout: 0.25 },
    input: [3, 4],
    output: [3, 4],
    parameters: {
      '0.c_attn.weight': { shape: [4, 12], torch: [12, 4] },
      '0.c_attn.bias': { shape: [12], torch: [12] },
      '0.c_proj.weight': { shape: [4, 4], torch: [4, 4] },
      '0.c_proj.bias': { shape: [4], torch: [4] },
    },
    refused: {
      layer: { type: 'attention', heads: 3 },
      message: 'layers[0] (attention): expected a width that 3 heads divide, got 4',
    },
  },
  tiedOutput: {
    before: [{ type: 'embedding', tokens: 5, width: 3 }],
    layer: { type: 'tiedOutput' },
    input: [4],
    output: [4, 5],
    parameters: { '0.weight': { shape: [5, 3], torch: [5, 3] } },
    refused: {
      layer: { type: 'tiedOutput' },
      input: [4, 3],
      message: 'layers[0] (tiedOutput): expected a model whose first layer is an embedding, which the output shares',
    },
  },
  meanPositions: {
    layer: { type: 'meanPositions' },
    input: [4, 3],
    output: [3],
    parameters: {},
    refused: {
      layer: { type: 'meanPositions' },
      input: [4],
      message: 'layers[0] (meanPositions): expected a sample of [positions, width], got [4]',
    },
  },
  lstm: {
    layer: { type: 'lstm', units: 2 },
    input: [4, 3],
    output: [4, 2],
    parameters: {
      '0.weight_ih_l0': { shape: [3, 8], torch: [8, 3] },
      '0.weight_hh_l0': { shape: [2, 8], torch: [8, 2] },
      '0.bias_ih_l0': { shape: [8], torch: [8] },
      '0.bias_hh_l0': { shape: [8], torch: [8] },
    },
    refused: {
      layer: { type: 'lstm', units: 0 },
      message: 'layers[0].units: expected a whole number from 1 to 65536, got 0',
    },
  },
  gru: {
    layer: { type: 'gru', units: 2 },
    input: [4, 3],
    output: [4, 2],
    parameters: {
      '0.weight_ih_l0': { shape: [3, 6], torch: [6, 3] },
      '0.weight_hh_l0': { shape: [2, 6], torch: [6, 2] },
      '0.bias_ih_l0': { shape: [6], torch: [6] },
      '0.bias_hh_l0': { shape: [6], torch: [6] },
    },
    refused: {
      layer: { type: 'gru', units: 2 },
      input: [4],
      message: 'layers[0] (gru): expected a sample of [positions, width], got [4]',
    },
  },
} satisfies Record<LayerType, LayerCase>;

const table: [LayerType, LayerCase][] = Object.entries(cases).map(([type, entry]) => [type as LayerType, entry]);

/** Models in which a layer stands elsewhere than between two others of a flat list. */
const others = {
  'a dense layer on the last axis': [
    { type: 'dense', units: 3 },
    { type: 'tanh' },
    { type: 'residual', layers: [{ type: 'dense', units: 3 }, { type: 'sigmoid' }] },
    { type: 'flatten' },
    { type: 'dense', units: 3 },
  ],
} as const;

describe.each(table)('%s', (type, { before = [], layer, input, output, parameters, refused }) => {
  const alone: Model = { name: 'case', input, layers: [...before, layer] };

  test('its case is of its own type', () => expect(layer.type).toBe(type));

  test('gives the shape that follows from its input', () => {
    expect(everyLayer(alone)[0]!.input).toEqual(input);
    expect(everyLayer(alone).find((each) => each.layer === layer)!.output).toEqual(output);
  });

  test('has the parameters of PyTorch, in its layout', () => {
    const layout = parameterLayout(alone).map(({ name, shape, torch }) => [name, { shape, torch: torch.shape }]);
    expect(Object.fromEntries(layout)).toEqual(parameters);
  });

  test('says what does not fit', () => {
    const model = { name: 'case', input: refused.input ?? input, layers: [refused.layer] };
    expect(() => parseModel(model)).toThrow(new Error(refused.message));
  });
});

/** Puts the layer between two trainable ones, so that its gradients by input and by parameters are both tested. */
function modelAround({ before = [], layer, input }: LayerCase): Model {
  const [height, width, channels] = input;
  const isImage = channels !== undefined;
  const isSequence = layer.type in sequenceLayers;
  const rest: Layer[] = [{ type: 'flatten' }, { type: 'dense', units: 3 }];
  if (isSequence) {
    const first: Layer[] = width === undefined ? [...before] : [{ type: 'embedding', tokens: 5, width }];
    return parseModel({ name: 'around', input: [height], layers: [...first, layer, ...rest] });
  }
  return parseModel({
    name: 'around',
    input: isImage ? [height! + 1, width! + 1, 1] : [3],
    layers: [
      isImage ? { type: 'conv2d', filters: channels, kernel: 2 } : { type: 'dense', units: height },
      layer,
      ...rest,
    ],
  });
}

describe.each(backends)('gradients on $name', ({ open }) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await open();
  });

  const models = [
    ...table.map(([type, entry]) => [type, modelAround(entry)] as const),
    ...Object.entries(others).map(
      ([name, layers]) => [name, parseModel({ name: 'other', input: [4, 2], layers })] as const,
    ),
  ];

  test.each(models)('of %s are those of finite differences within 1e-3', (_, model) => {
    // With this seed no value is within `delta` of the kink of a relu or of another value of its pooling window.
    const weights = initialize(model, 2);
    const parameters = backend.allocate(weights.length);
    const samples = 4;
    const limit = embeddingOf(model)?.tokens ?? 256;
    const pixels = Uint8Array.from({ length: samples * inputSize(model) }, (_, index) => (index * 89 + 31) % limit);
    const plan = createMicrobatchGradient(backend, model, samples, parameters);
    const outputAt = (values: Float32Array): Float32Array => {
      backend.upload(parameters, values);
      plan.run(pixels, Uint16Array.of(0, 1, 2, 1), { seed: 3, step: 5, firstSample: 7 });
      return backend.view(plan.output);
    };
    const gradient = outputAt(weights).slice(0, weights.length);
    const delta = 2 ** -7;
    const lossAt = (index: number, change: number): number =>
      outputAt(weights.with(index, weights[index]! + change))[weights.length]!;
    for (const { name, offset, size } of parameterLayout(model)) {
      for (let index = offset; index < offset + size; index++) {
        const difference = (lossAt(index, delta) - lossAt(index, -delta)) / (2 * delta);
        expect(Math.abs(gradient[index]! - difference), `${name}[${index - offset}]`).toBeLessThan(1e-3);
      }
    }
    plan.dispose();
    backend.free(parameters);
  });
});

describe('layers inside layers', () => {
  const block = (layers: readonly object[]) => ({ type: 'residual', layers });
  const of = (layers: readonly object[], input: Shape = [6]) => parseModel({ name: 'nested', input, layers });

  test('are placed by path, each with its shapes, its parameters and a stream of random values of its own', () => {
    const model = of([
      { type: 'dropout', rate: 0.5 },
      block([{ type: 'dropout', rate: 0.5 }, block([{ type: 'dense', units: 6 }]), { type: 'dropout', rate: 0.5 }]),
      { type: 'dense', units: 2 },
    ]);
    const rows = everyLayer(model).map(({ path, layer, stream }) => [path, layer.type, stream]);
    expect(rows).toEqual([
      ['0', 'dropout', 0],
      ['1', 'residual', 1],
      ['1.0', 'dropout', 2],
      ['1.1', 'residual', 3],
      ['1.1.0', 'dense', 4],
      ['1.2', 'dropout', 5],
      ['2', 'dense', 6],
    ]);
    expect(parameterLayout(model).map(({ name, offset, size }) => [name, offset, size])).toEqual([
      ['1.1.0.weight', 0, 36],
      ['1.1.0.bias', 36, 6],
      ['2.weight', 42, 12],
      ['2.bias', 54, 2],
    ]);
    expect(parseModel(JSON.parse(JSON.stringify(model)))).toEqual(model);
    expect(
      summary(model)
        .split('\n')
        .slice(4, -2)
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ['input', '[6]'],
      ['0 dropout', '[6]', '0'],
      ['1 residual', '[6]', '0'],
      ['1.0 dropout', '[6]', '0'],
      ['1.1 residual', '[6]', '0'],
      ['1.1.0 dense', '[6]', '42'],
      ['1.2 dropout', '[6]', '0'],
      ['2 dense', '[2]', '14'],
    ]);
  });

  test('add their output to their input', async () => {
    const backend = await backends[0]!.open();
    const model = of([block([{ type: 'dense', units: 3 }, { type: 'relu' }])], [3]);
    const weights = Float32Array.of(1, 0, 0, 0, 2, 0, 0, 0, -1, 0, 0.5, 0);
    const parameters = backend.allocate(weights.length);
    backend.upload(parameters, weights);
    const plan = createPrediction(backend, model, 1, parameters);
    plan.run(Float32Array.of(1, 2, 3));
    expect([...backend.view(plan.output)]).toEqual([2, 6.5, 3]);
  });

  test('are in files under their paths, and read back to the same bits', () => {
    const model = of([block([{ type: 'dense', units: 6 }, { type: 'tanh' }]), { type: 'dense', units: 2 }]);
    const weights = initialize(model, 3);
    const file = writeModelFile(model, weights);
    expect(readSafetensors(file).tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['0.0.weight', [6, 6]],
      ['0.0.bias', [6]],
      ['1.weight', [2, 6]],
      ['1.bias', [2]],
    ]);
    expect(readModelFile(model, file)).toEqual(weights);
    const { metadata } = readSafetensors(file);
    const other = of([block([{ type: 'dense', units: 6 }, { type: 'relu' }]), { type: 'dense', units: 2 }]);
    expect(
      parseDescription(
        metadata,
        of([block([{ init: 'zeros', units: 6, type: 'dense' }, { type: 'tanh' }]), { type: 'dense', units: 2 }]),
      ).model,
    ).toEqual(model);
    expect(() => parseDescription(metadata, other)).toThrow(
      'expected layers[0] {"type":"residual","layers":[{"type":"dense","units":6},{"type":"relu"}]}, got {"type":"residual","layers":[{"type":"dense","units":6},{"type":"tanh"}]}',
    );
  });

  const deep = (depth: number): object => (depth === 0 ? { type: 'relu' } : block([deep(depth - 1)]));
  test.each<[string, readonly object[], Shape, string]>([
    [
      'one that does not fit',
      [block([{ type: 'tanh' }, { type: 'conv2d', filters: 1, kernel: 1 }])],
      [6],
      'layers[0].layers[1] (conv2d): expected a sample of [height, width, channels], got [6]',
    ],
    ['none', [block([])], [6], 'layers[0].layers: expected a list of 1 to 256 layers, got a list of 0'],
    [
      'a list nested too deeply',
      [deep(9)],
      [6],
      `${'layers[0].'.repeat(8)}layers: expected a list of layers that holds no further lists, got a list of 1`,
    ],
    [
      'a flattened image of several channels, which PyTorch has in another order',
      [{ type: 'flatten' }, block([{ type: 'tanh' }])],
      [2, 2, 3],
      'layers[1] (residual): expected samples other than flattened images of 3 channels; put a dense layer before',
    ],
  ])('%s', (_, layers, input, message) => {
    expect(() => of(layers, input)).toThrow(new Error(message));
  });
});

/** Models that together have every kind of layer, and samples that depend only on a seed. */
import { embeddingOf, inputSize, type Model, outputCount, parseModel, resolveModel } from '@lockstep/nn';
import { philox } from '@lockstep/tensor';
import { loadTensorFlow, prepareProcess } from '../src/load.ts';

prepareProcess();

/** Why TensorFlow cannot be tested here; undefined if it can. */
export const absence: string | undefined = await loadTensorFlow().then(
  () => undefined,
  (error: Error) => error.message,
);

/** Returns the title of a test, with the reason if it is skipped. */
export const titled = (title: string): string => (absence === undefined ? title : `${title} (${absence})`);

export const small = parseModel({
  name: 'small',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

export const models: readonly Model[] = [
  small,
  resolveModel('mlp'),
  resolveModel('cnn'),
  parseModel({
    name: 'pools that overlap and strides that leave a rest',
    input: [9, 7, 2],
    layers: [
      { type: 'conv2d', filters: 3, kernel: 3, stride: 2, padding: 1 },
      { type: 'gelu' },
      { type: 'maxPool2d', window: 3, stride: 1, padding: 1 },
      { type: 'averagePool2d', window: 2, stride: 1, padding: 1 },
      { type: 'conv2d', filters: 4, kernel: 2 },
      { type: 'leakyRelu', slope: 0.2 },
      { type: 'averagePool2d', window: 2, stride: 3 },
      { type: 'flatten' },
      { type: 'dense', units: 5 },
    ],
  }),
  parseModel({
    name: 'dropout and smooth activations',
    input: [6],
    layers: [
      { type: 'dropout', rate: 0.2 },
      { type: 'dense', units: 9 },
      { type: 'softplus' },
      { type: 'dropout', rate: 0.5 },
      { type: 'dense', units: 8 },
      { type: 'tanh' },
      { type: 'dropout', rate: 0 },
      { type: 'softsign' },
      { type: 'dense', units: 8 },
      { type: 'sigmoid' },
      { type: 'dense', units: 4 },
    ],
  }),
  parseModel({
    name: 'residual layers and positions',
    input: [5, 3],
    layers: [
      { type: 'dense', units: 4 },
      { type: 'residual', layers: [{ type: 'dropout', rate: 0.2 }, { type: 'dense', units: 4 }, { type: 'gelu' }] },
      { type: 'flatten' },
      { type: 'dense', units: 3 },
    ],
  }),
  parseModel({
    name: 'attention without a mask',
    input: [6],
    layers: [
      { type: 'embedding', tokens: 9, width: 4 },
      { type: 'positions' },
      {
        type: 'residual',
        layers: [{ type: 'layerNorm' }, { type: 'attention', heads: 2, causal: false, dropout: 0.2 }],
      },
      { type: 'meanPositions' },
      { type: 'dense', units: 3 },
    ],
  }),
];

/** Models that predict the next token at each position. */
export const textModels: readonly Model[] = [
  resolveModel('gpt-nano'),
  parseModel({
    name: 'recurrent',
    input: [5],
    layers: [
      { type: 'embedding', tokens: 9, width: 4 },
      { type: 'lstm', units: 6 },
      { type: 'gru', units: 4 },
      { type: 'tiedOutput' },
    ],
  }),
];

export interface Samples {
  readonly pixels: Uint8Array;
  readonly labels: Uint16Array;
}

export function samplesFor(model: Model, count: number, seed: number): Samples {
  const shard = new Uint32Array(4);
  const word = (stream: number, index: number): number => {
    philox(shard, [index, stream, 0, 0], [seed, 0]);
    return shard[0]! >>> 8;
  };
  const values = embeddingOf(model)?.tokens ?? 256;
  return {
    pixels: Uint8Array.from({ length: count * inputSize(model) }, (_, index) => word(0, index) % values),
    labels: Uint16Array.from({ length: count }, (_, index) => word(1, index) % outputCount(model)),
  };
}

/** Models that together have every kind of layer, each in every place where ONNX's order differs. */
import { parseModel, resolveModel } from '@lockstep/nn';

export const models = [
  resolveModel('mlp'),
  resolveModel('cnn'),
  parseModel({
    name: 'every-layer',
    input: [9, 8, 2],
    layers: [
      { type: 'conv2d', filters: 3, kernel: 3, padding: 1 },
      { type: 'gelu' },
      { type: 'maxPool2d', window: 3, stride: 1, padding: 1 },
      { type: 'conv2d', filters: 4, kernel: 2, stride: 2 },
      { type: 'leakyRelu', slope: 0.2 },
      { type: 'averagePool2d', window: 2, stride: 1, padding: 1 },
      { type: 'tanh' },
      { type: 'flatten' },
      { type: 'sigmoid' },
      { type: 'dropout', rate: 0.5 },
      { type: 'dense', units: 6 },
      { type: 'softplus' },
      { type: 'dense', units: 5 },
      { type: 'softsign' },
      { type: 'dense', units: 3 },
      { type: 'relu' },
    ],
  }),
  // The flattened image is itself the scores.
  parseModel({
    name: 'image',
    input: [4, 3, 2],
    layers: [{ type: 'conv2d', filters: 3, kernel: 2 }, { type: 'flatten' }, { type: 'tanh' }],
  }),
  parseModel({
    name: 'rows',
    input: [4, 3],
    layers: [{ type: 'flatten' }, { type: 'dense', units: 2 }, { type: 'dropout', rate: 0.1 }],
  }),
  // Outputs of convolutions that are read twice, layers in layers, and a dense layer on the last axis.
  parseModel({
    name: 'residual',
    input: [5, 4, 2],
    layers: [
      { type: 'conv2d', filters: 3, kernel: 1 },
      {
        type: 'residual',
        layers: [
          { type: 'conv2d', filters: 3, kernel: 3, padding: 1 },
          { type: 'relu' },
          { type: 'residual', layers: [{ type: 'conv2d', filters: 3, kernel: 1 }] },
        ],
      },
      { type: 'flatten' },
      { type: 'dense', units: 4 },
      { type: 'residual', layers: [{ type: 'dense', units: 4 }, { type: 'tanh' }] },
      { type: 'dense', units: 2 },
    ],
  }),
  parseModel({
    name: 'positions',
    input: [4, 3],
    layers: [
      { type: 'dense', units: 5 },
      { type: 'gelu' },
      { type: 'residual', layers: [{ type: 'dense', units: 5 }] },
      { type: 'flatten' },
      { type: 'dense', units: 2 },
    ],
  }),
  resolveModel('gpt-nano'),
  parseModel({
    name: 'recurrent',
    input: [6],
    layers: [
      { type: 'embedding', tokens: 9, width: 4 },
      { type: 'lstm', units: 6 },
      { type: 'layerNorm', epsilon: 0.01 },
      { type: 'gru', units: 4 },
      { type: 'tiedOutput' },
    ],
  }),
  parseModel({
    name: 'text-classes',
    input: [6],
    layers: [
      { type: 'embedding', tokens: 9, width: 4 },
      { type: 'positions' },
      {
        type: 'residual',
        layers: [
          { type: 'attention', heads: 2, causal: false },
          { type: 'dense', units: 4 },
        ],
      },
      { type: 'meanPositions' },
      { type: 'dense', units: 3 },
    ],
  }),
];

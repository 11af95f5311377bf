/** Gradients of every kind of layer on a GPU. */
import { classField, type TargetField } from '@lockstep/data';
import { type Model, parseModel, resolveModel } from '../src/index.ts';
import { describeGpuGradients } from './gpu-gradients.ts';

const dropping = parseModel({
  name: 'dropping',
  input: [28, 28, 1],
  layers: [
    { type: 'conv2d', filters: 6, kernel: 3, stride: 2 },
    { type: 'gelu' },
    { type: 'averagePool2d', window: 3, stride: 2, padding: 1 },
    { type: 'flatten' },
    { type: 'dropout', rate: 0.25 },
    { type: 'dense', units: 33 },
    { type: 'tanh' },
    { type: 'dropout', rate: 0.5 },
    { type: 'dense', units: 10 },
  ],
});

const recurrent = parseModel({
  name: 'recurrent',
  input: [7],
  layers: [
    { type: 'embedding', tokens: 19, width: 12 },
    { type: 'lstm', units: 10 },
    { type: 'residual', layers: [{ type: 'attention', heads: 2, dropout: 0.25 }] },
    { type: 'gru', units: 9 },
    { type: 'meanPositions' },
    { type: 'dense', units: 10 },
  ],
});

/** Next tokens of running text, or of lines, whose rest is token 0. */
const nextOf = ({ input: [positions = 0] }: Model, lines?: true): TargetField => {
  return {
    dtype: 'u8',
    shape: [0],
    role: 'next',
    positions: lines ? positions / 2 : positions,
    ...(lines && { lines }),
  };
};

const [nano, names] = [resolveModel('gpt-nano'), resolveModel('names')];

await describeGpuGradients([
  { model: resolveModel('cnn'), targetField: classField, of: 'classes' },
  { model: resolveModel('cnn-large'), targetField: classField, of: 'classes' },
  { model: dropping, targetField: classField, of: 'classes' },
  { model: nano, targetField: nextOf(nano), of: 'next tokens' },
  { model: names, targetField: nextOf(names, true), of: 'next tokens of lines' },
  { model: recurrent, targetField: classField, of: 'classes' },
]);

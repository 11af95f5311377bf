/** Gradients on a GPU or a software renderer, compared with the reference; skipped if Node has neither. */
import { classField, nextTargets, type TargetField } from '@lockstep/data';
import { type Backend, openBackend } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  embeddingOf,
  initialize,
  type Model,
  parameterLayout,
  parseModel,
  resolveModel,
  sampleSize,
} from '../src/index.ts';
import { mnistBatch } from './goldens.ts';

const samples = 16;
const key = { seed: 9, step: 4, firstSample: 128 };
/** Maximum difference, relative to the largest value of a parameter's gradient. */
const tolerance = 2e-5;

/** Returns a backend on a GPU, or the reason why there is none. */
async function openGpu(): Promise<Backend | string> {
  try {
    return (await openBackend('gpu')).backend;
  } catch (error) {
    return (error as Error).message;
  }
}

const gpu = await openGpu();
const title = typeof gpu === 'string' ? `on a GPU (skipped: ${gpu})` : `on ${gpu.numericMode}`;

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
  input: [5],
  layers: [
    { type: 'embedding', tokens: 7, width: 6 },
    { type: 'lstm', units: 6 },
    { type: 'residual', layers: [{ type: 'attention', heads: 2, dropout: 0.25 }] },
    { type: 'gru', units: 6 },
    { type: 'tiedOutput' },
  ],
});

const classWeights = Array.from({ length: 10 }, (_, at) => at / 4);

describe.skipIf(typeof gpu === 'string')(title, () => {
  test.each<[Model, TargetField]>([
    [resolveModel('mlp'), classField],
    [resolveModel('mlp'), { ...classField, classWeights }],
    [resolveModel('cnn'), classField],
    [resolveModel('cnn-large'), classField],
    [dropping, classField],
    [resolveModel('gpt-nano'), nextTargets([], 16)],
    [resolveModel('names'), nextTargets([], 8, true)],
    [resolveModel('mlp', { sampleShape: [7], outputs: 10, tokens: 19 }), classField],
    [recurrent, nextTargets([], 4, true)],
  ])(
    'the gradient of a microbatch of $name is that of the reference, with targets %j',
    async (model, targetField) => {
      const weights = initialize(model, 5);
      const { pixels, labels } = mnistBatch(3);
      const length = samples * sampleSize(model, targetField);
      const tokens = embeddingOf(model)?.tokens;
      const given = [
        tokens === undefined ? pixels.slice(0, length) : Uint8Array.from({ length }, (_, at) => (at * at) % tokens),
        labels.slice(0, targetField.role === 'next' ? 0 : samples),
      ] as const;
      const gradientOn = async (backend: Backend): Promise<Float32Array> => {
        const parameters = backend.allocate(weights.length);
        backend.upload(parameters, weights);
        const microbatch = createMicrobatchGradient(backend, model, samples, parameters, { targetField });
        microbatch.run(...given, key);
        const result = await backend.download(microbatch.output);
        microbatch.dispose();
        backend.free(parameters);
        return result;
      };
      const expected = await gradientOn((await openBackend('reference')).backend);
      const got = await gradientOn(gpu as Backend);
      for (const { name, offset, size } of parameterLayout(model)) {
        const [ours, theirs] = [expected, got].map((values) => values.subarray(offset, offset + size));
        const scale = ours!.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        const off = ours!.reduce((largest, value, at) => Math.max(largest, Math.abs(value - theirs![at]!)), 0);
        expect(off / scale, name).toBeLessThan(tolerance);
      }
      const [lossSum, correct] = expected.subarray(weights.length);
      expect(Math.abs(got[weights.length]! - lossSum!)).toBeLessThan(tolerance * lossSum!);
      expect(got[weights.length + 1]).toBe(correct);
    },
    300_000,
  );
});

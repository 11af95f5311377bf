import { describe, expect, test } from 'vitest';
import { createEvaluation, createMicrobatchGradient, parameterCount, parseModel } from '../src/index.ts';
import { backends, uploadInitial } from './backends.ts';

describe.each(backends)('training on $name', ({ open }) => {
  const layers = [{ type: 'dropout', rate: 0.25 }, { type: 'dense', units: 6 }, { type: 'relu' }];
  const model = parseModel({
    name: 'dropping',
    input: [5],
    layers: [...layers, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 3 }],
  });
  const plain = parseModel({
    name: 'plain',
    input: [5],
    layers: [{ type: 'dense', units: 6 }, { type: 'relu' }, { type: 'dense', units: 3 }],
  });
  const size = parameterCount(model);
  const pixels = Uint8Array.from({ length: 40 }, (_, index) => (index * 67) % 256);
  const labels = Uint16Array.of(0, 1, 2, 0, 1, 2, 0, 1);
  const key = { seed: 9, step: 4, firstSample: 128 };

  async function setUp() {
    const backend = await open();
    const parameters = uploadInitial(backend, model, 1);
    const gradientOf = (from: number, to: number, sampleKey = key) => {
      const microbatch = createMicrobatchGradient(backend, model, to - from, parameters);
      microbatch.run(pixels.slice(from * 5, to * 5), labels.slice(from, to), sampleKey);
      const result = backend.view(microbatch.output).slice();
      microbatch.dispose();
      return result;
    };
    return { backend, parameters, gradientOf };
  }

  test('the same key gives the same bits, another key different ones', async () => {
    const { gradientOf } = await setUp();
    expect(gradientOf(0, 8)).toEqual(gradientOf(0, 8));
    expect(gradientOf(0, 8)).not.toEqual(gradientOf(0, 8, { ...key, step: 5 }));
  });

  test('samples drop the same values, whatever microbatch they are in', async () => {
    const { gradientOf } = await setUp();
    const whole = gradientOf(0, 8);
    const sums = new Float64Array(size + 2);
    for (let sample = 0; sample < 8; sample++) {
      const own = gradientOf(sample, sample + 1, { ...key, firstSample: key.firstSample + sample });
      own.forEach((value, index) => {
        sums[index]! += value;
      });
    }
    for (const [index, value] of whole.entries()) expect(Math.abs(value - sums[index]!)).toBeLessThan(1e-5);
  });

  test('evaluation drops nothing and equals that of the model without dropout', async () => {
    const { backend, parameters, gradientOf } = await setUp();
    const [own, other] = [model, plain].map((of) => {
      const evaluation = createEvaluation(backend, of, 8, parameters);
      evaluation.run(pixels, labels);
      return backend.view(evaluation.output).slice();
    });
    expect(own).toEqual(other);
    expect(gradientOf(0, 8)[size]).not.toBe(own![0]);
  });

  test('the mean gradient of many steps approaches the one without dropout, before a linear layer', async () => {
    const backend = await open();
    const linear = (rate: number) =>
      parseModel({
        name: 'l',
        input: [5],
        layers: [
          { type: 'dropout', rate },
          { type: 'dense', units: 3 },
        ],
      });
    const parameters = backend.allocate(18);
    // With zero weights the scores are constant, so the gradient is linear in the dropped inputs.
    backend.upload(parameters, new Float32Array(18));
    const mean = (rate: number, steps: number) => {
      const microbatch = createMicrobatchGradient(backend, linear(rate), 8, parameters);
      const sums = new Float64Array(18);
      for (let step = 0; step < steps; step++) {
        microbatch.run(pixels, labels, { ...key, step });
        backend
          .view(microbatch.output)
          .subarray(0, 18)
          .forEach((value, index) => {
            sums[index]! += value / steps;
          });
      }
      return sums;
    };
    const [dropped, exact] = [mean(0.5, 2000), mean(0, 1)];
    for (const [index, value] of exact.entries()) expect(Math.abs(dropped[index]! - value)).toBeLessThan(0.08);
  });
});

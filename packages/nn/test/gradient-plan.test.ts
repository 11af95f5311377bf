import { createByteTable, type HostBackend } from '@lockstep/tensor';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  createEvaluation,
  createMicrobatchGradient,
  createOptimizer,
  createPrediction,
  initialize,
  type OptimizerConfig,
  parameterCount,
  resolveModel,
} from '../src/index.ts';
import { backends, uploadInitial } from './backends.ts';
import { mnistBatch } from './goldens.ts';

const model = resolveModel('mlp');
const total = parameterCount(model);
const bits = (values: Float32Array) => Buffer.from(values.slice().buffer).toString('base64');

describe.each(backends)('784-128-10 on $name', ({ open }) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await open();
  });

  const startFrom = (seed: number) => uploadInitial(backend, model, seed);

  test('evaluation and prediction agree, to the bit, with the microbatch and with any other number of samples', () => {
    const parameters = startFrom(7);
    const { pixels, labels } = mnistBatch(0);
    const microbatch = createMicrobatchGradient(backend, model, 64, parameters);
    microbatch.run(pixels, labels);
    const evaluation = createEvaluation(backend, model, 64, parameters);
    evaluation.run(pixels, labels);
    expect(backend.view(evaluation.output).slice()).toEqual(backend.view(microbatch.output).slice(total));
    const whole = createPrediction(backend, model, 64, parameters);
    whole.run(pixels);
    const scores = backend.view(whole.output).slice();
    let correct = 0;
    for (let row = 0; row < 64; row++) {
      const own = [...scores.subarray(row * 10, row * 10 + 10)];
      if (own.indexOf(Math.max(...own)) === labels[row]) correct++;
    }
    expect(correct).toBe(backend.view(evaluation.output)[1]);
    for (const samples of [1, 3, 7]) {
      const part = createPrediction(backend, model, samples, parameters);
      part.run(pixels.subarray(784 * 5, 784 * (5 + samples)));
      expect(bits(backend.view(part.output))).toEqual(bits(scores.subarray(50, 50 + 10 * samples)));
    }
  });

  test('each run reads the current parameters, and leaves nothing to the next run', () => {
    const parameters = startFrom(7);
    const microbatch = createMicrobatchGradient(backend, model, 64, parameters);
    const [first, second] = [mnistBatch(0), mnistBatch(1)];
    const run = ({ pixels, labels }: typeof first) => {
      microbatch.run(pixels, labels);
      return bits(backend.view(microbatch.output));
    };
    const before = run(first);
    expect(run(second)).not.toEqual(before);
    expect(run(first)).toEqual(before);
    backend.upload(parameters, initialize(model, 8));
    expect(run(first)).not.toEqual(before);
    backend.upload(parameters, initialize(model, 7));
    expect(run(first)).toEqual(before);
  });

  test('frees everything that it allocated, and only that', () => {
    const parameters = startFrom(7);
    const allocate = vi.spyOn(backend, 'allocate');
    const free = vi.spyOn(backend, 'free');
    const config: OptimizerConfig = { type: 'momentum', learningRate: 0.1, momentum: 0.9 };
    for (const disposable of [
      createMicrobatchGradient(backend, model, 4, parameters),
      createEvaluation(backend, model, 4, parameters),
      createPrediction(backend, model, 4, parameters),
      createOptimizer(backend, config, parameters),
    ]) {
      disposable.dispose();
    }
    expect(free.mock.calls.map(([storage]) => storage)).toEqual(
      expect.arrayContaining(allocate.mock.results.map(({ value }) => value)),
    );
    expect(free.mock.calls.length).toBe(allocate.mock.calls.length);
    vi.restoreAllMocks();
    expect(backend.view(parameters)).toEqual(initialize(model, 7));
  });

  test('refuses what does not fit, in one sentence', () => {
    const parameters = startFrom(7);
    const microbatch = createMicrobatchGradient(backend, model, 2, parameters);
    const run = (pixels: number, labels: number) => () =>
      microbatch.run(new Uint8Array(pixels), new Uint16Array(labels));
    expect(run(784, 2)).toThrow('microbatch: expected 1568 values of samples, got 784');
    expect(run(1568, 3)).toThrow('microbatch: expected 2 labels, got 3');
    const inRows = (columns: number, ...numbers: number[]) => {
      const table = createByteTable(backend, 3, columns);
      return () => microbatch.run({ table, numbers: Uint32Array.from(numbers) }, new Uint16Array(2));
    };
    expect(inRows(784, 0)).toThrow('microbatch: expected 2 rows of 784 bytes, got 1 rows of 784');
    expect(inRows(28, 0, 1)).toThrow('microbatch: expected 2 rows of 784 bytes, got 2 rows of 28');
    expect(() => createMicrobatchGradient(backend, model, 0, parameters)).toThrow(
      'microbatch: expected 1 or more samples, got 0',
    );
    expect(() => createEvaluation(backend, model, 1, backend.allocate(5))).toThrow(
      'model mlp: expected 101770 parameters, got 5',
    );
  });

  test('a label that is no class makes the loss NaN instead of training on it', () => {
    const microbatch = createMicrobatchGradient(backend, model, 2, startFrom(7));
    microbatch.run(new Uint8Array(1568), Uint16Array.of(3, 10));
    expect(backend.view(microbatch.output)[total]).toBeNaN();
  });
});

/** Minimal training, for tests that compare losses or check that they fall. */
import type { HostBackend, Storage } from '@lockstep/tensor';
import { expect } from 'vitest';
import {
  createMicrobatchGradient,
  createOptimizer,
  initialize,
  type Model,
  type OptimizerConfig,
  parameterLayout,
} from '../src/index.ts';
import { expectNear, type GradientGolden, type LabeledBatch } from './goldens.ts';

/** Uploads the initial parameters of a model to the backend. */
export function uploadInitial(backend: HostBackend, model: Model, seed: number): Storage {
  const values = initialize(model, seed);
  const parameters = backend.allocate(values.length);
  backend.upload(parameters, values);
  return parameters;
}

/** Takes one step on each batch, and returns each batch's mean loss before its step. */
export function train(
  backend: HostBackend,
  model: Model,
  parameters: Storage,
  config: OptimizerConfig,
  batches: readonly LabeledBatch[],
): number[] {
  const size = parameters.length;
  const samples = batches[0]!.labels.length;
  const microbatch = createMicrobatchGradient(backend, model, samples, parameters);
  const optimizer = createOptimizer(backend, config, parameters);
  const losses = batches.map(({ pixels, labels }) => {
    microbatch.run(pixels, labels);
    const loss = backend.view(microbatch.output)[size]! / samples;
    optimizer.step(samples, microbatch.output);
    return loss;
  });
  optimizer.dispose();
  microbatch.dispose();
  return losses;
}

/** Compares the gradients, the loss and the number of correct samples of one batch with PyTorch's. */
export function expectGoldenGradient(
  backend: HostBackend,
  model: Model,
  parameters: Storage,
  { pixels, labels }: LabeledBatch,
  golden: GradientGolden,
  tolerance: number,
): void {
  const [size, samples] = [parameters.length, labels.length];
  const microbatch = createMicrobatchGradient(backend, model, samples, parameters);
  microbatch.run(pixels, labels);
  const result = backend.view(microbatch.output).slice();
  expect(result.length).toBe(size + 2);
  const mean = result.subarray(0, size).map((value) => value / samples);
  expectNear(parameterLayout(model), golden.parameters, mean, tolerance);
  expect(Math.abs(result[size]! / samples - golden.loss)).toBeLessThan(1e-6 * golden.loss);
  expect(result[size + 1]).toBe(golden.correct);
}

/** Compares gradients on a GPU or a software renderer with the reference; they are skipped if Node has neither. */
import type { SampleValues, TargetField, TargetValues } from '@lockstep/data';
import { type Backend, openBackend } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { createMicrobatchGradient, embeddingOf, initialize, type Model, parameterLayout } from '../src/index.ts';
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

/** The first samples of MNIST, or as many texts of different lengths. */
function batchOf(model: Model, { role }: TargetField): [SampleValues, TargetValues] {
  const { pixels, labels } = mnistBatch(3);
  const classes = labels.slice(0, samples);
  const embedding = embeddingOf(model);
  if (embedding === undefined) return [pixels.slice(0, samples * 784), classes];
  const length = model.input[0]! + (role === 'next' ? 1 : 0);
  const texts = Uint8Array.from({ length: samples * length }, (_, at) => {
    const [sample, place] = [Math.floor(at / length), at % length];
    return place === 0 || place > length - sample / 2 ? 0 : 1 + ((at * at + sample) % (embedding.tokens - 1));
  });
  return [texts, role === 'next' ? new Uint8Array() : classes];
}

interface GradientCase {
  readonly model: Model;
  readonly targetField: TargetField;
  /** Name of the targets. */
  readonly of: string;
}

/** Declares a test for each model. */
export async function describeGpuGradients(cases: readonly GradientCase[]): Promise<void> {
  const gpu = await openGpu();
  const title = typeof gpu === 'string' ? `on a GPU (skipped: ${gpu})` : `on ${gpu.numericMode}`;
  describe.skipIf(typeof gpu === 'string')(title, () => {
    test.each(cases)(
      'the gradient of a microbatch of $model.name for $of is that of the reference',
      async ({ model, targetField }) => {
        const weights = initialize(model, 5);
        const gradientOn = async (backend: Backend): Promise<Float32Array> => {
          const parameters = backend.allocate(weights.length);
          backend.upload(parameters, weights);
          const microbatch = createMicrobatchGradient(backend, model, samples, parameters, { targetField });
          microbatch.run(...batchOf(model, targetField), key);
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
}

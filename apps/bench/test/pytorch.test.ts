/** PyTorch alone and under DistributedDataParallel: if installed, it computes the same step as all candidates. */
import { initialize, parseModel, resolveModel } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import { afterAll, describe, expect, test } from 'vitest';
import { trainingCase } from '../src/cases/steps.ts';
import type { Implementation } from '../src/harness.ts';
import pytorchPeers, { PytorchGroup } from '../src/peers/pytorch.ts';
import { gptSizes, netOf, type TrainingStep } from '../src/work.ts';
import { randomBatch } from './random-batch.ts';

const layers = [{ type: 'dense', units: 16 }, { type: 'relu' }, { type: 'dense', units: 10 }];
const net = netOf('mlp', parseModel({ name: 'narrow', input: [784], layers }));

function workOf(batchSize: number, seed: number): TrainingStep {
  const random = randomStream(seed);
  const batches = [0, 1].map(() => randomBatch(random, batchSize));
  const initial = Float32Array.from({ length: 784 * 16 + 16 + 160 + 10 }, () => (random() - 0.5) / 10);
  return { net, batchSize, learningRate: 0.1, batches, initial };
}

function textWorkOf(batchSize: number, seed: number): TrainingStep {
  const random = randomStream(seed);
  const gpt = netOf('gpt', resolveModel('gpt-nano'));
  const { tokens, positions } = gptSizes(gpt);
  const batches = [0, 1].map(() => ({
    samples: Uint8Array.from({ length: batchSize * (positions + 1) }, () => Math.floor(random() * tokens)),
    labels: new Uint16Array(),
  }));
  return { net: gpt, batchSize, learningRate: 0.1, batches, initial: initialize(gpt.model, seed) };
}

async function expectReference(work: TrainingStep, opened: Implementation | { readonly absent: string }) {
  if ('absent' in opened) throw new Error(opened.absent);
  // A reset discards the steps before it.
  await opened.reset?.();
  expect(await opened.run(1)).toBeGreaterThan(0);
  await opened.reset?.();
  await opened.run(3);
  const { distance } = await trainingCase('training', work, 3, []);
  expect(distance(await opened.result())).toBeLessThan(1e-5);
  await opened.close?.();
}

const group = new PytorchGroup(2);
afterAll(() => group.close());

const first = await group.open(workOf(2, 1), 'single');
const reason = 'absent' in first ? first.absent : undefined;

describe.skipIf(reason !== undefined)(`PyTorch and gloo${reason === undefined ? '' : ` (${reason})`}`, () => {
  test.each(['single', { threads: 2 }, 'ddp'] as const)('%o, the weights are those of the reference', async (mode) => {
    for (const work of [workOf(6, 3), workOf(4, 5), textWorkOf(6, 3)]) {
      await expectReference(work, await group.open(work, mode));
    }
  });

  test('in a process of its own, the weights are those of the reference', async () => {
    const work = workOf(5, 7);
    await expectReference(work, await pytorchPeers[0]!.openStep(work));
  });

  test('a batch that does not divide among the processes is one sentence', async () => {
    expect(await group.open(workOf(3, 1), 'ddp')).toEqual({
      absent: 'a batch of 3 does not divide among 2 processes',
    });
  });
});

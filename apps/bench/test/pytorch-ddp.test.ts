/** PyTorch's own data parallelism as a peer: where it is installed, it computes the step that everybody else does. */
import { afterAll, describe, expect, test } from 'vitest';
import { pytorchGroup } from '../src/peers/pytorch-ddp.ts';
import { type MnistStep, weightsJudge } from '../src/work/mnist-step.ts';
import { perceptron } from '../src/work/net.ts';

const net = perceptron(16);

function workOf(batchSize: number, seed: number): MnistStep {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const batches = [0, 1].map(() => ({
    pixels: Uint8Array.from({ length: batchSize * 784 }, () => Math.max(0, (next() >>> 24) - 180)),
    labels: Uint8Array.from({ length: batchSize }, () => (next() >>> 8) % 10),
  }));
  const size = 784 * 16 + 16 + 160 + 10;
  const initial = Float32Array.from({ length: size }, () => (next() / 2 ** 32 - 0.5) / 10);
  return { net, batchSize, learningRate: 0.1, batches, initial };
}

const group = pytorchGroup(2);
afterAll(() => group.close());

const numericsCheck = await group.open(workOf(2, 1), 'alone');
const reason = 'absent' in numericsCheck ? numericsCheck.absent : undefined;

describe.skipIf(reason !== undefined)(`PyTorch and gloo${reason === undefined ? '' : ` (${reason})`}`, () => {
  test.each(['alone', 'together'] as const)('%s, the weights are those of double precision', async (crew) => {
    for (const work of [workOf(6, 3), workOf(4, 5)]) {
      const contender = await group.open(work, crew);
      if ('absent' in contender) throw new Error(contender.absent);
      // A reset forgets the steps before it.
      await contender.reset();
      expect(await contender.run(1)).toBeGreaterThan(0);
      await contender.reset();
      await contender.run(3);
      expect(weightsJudge(work, 3)(await contender.result()).distance).toBeLessThan(1e-5);
    }
  });

  test('a batch that does not divide among the processes is one sentence', async () => {
    expect(await group.open(workOf(3, 1), 'together')).toEqual({
      absent: 'a batch of 3 does not divide among 2 processes',
    });
  });
});

/** When computing moves from the socket's thread to another, and what goes with it. */
import type { BlockGradient, Compute } from '@lockstep/training';
import { expect, it } from 'vitest';
import { createNearCompute } from '../src/near-compute.ts';

const setup = { model: {}, leafSize: 4 };
const none = new Uint8Array(0);

/** Computes nothing, takes as long as it is told, and keeps a diary. */
function fake(name: string, diary: string[], computeMs: () => number = () => 1): Compute {
  return {
    backend: 'cpu',
    arithmetic: 'any',
    threads: 1,
    async open() {
      diary.push(`${name} open`);
    },
    setWeights(bytes) {
      diary.push(`${name} weights ${bytes[0]}`);
    },
    async gradient(): Promise<BlockGradient> {
      diary.push(`${name} gradient`);
      return { gradient: none, lossSum: 0, correct: 0, count: 0, computeMs: computeMs() };
    },
    async close() {
      diary.push(`${name} close`);
    },
  };
}

it('computes where the socket is while blocks are short, and opens no other thread', async () => {
  const diary: string[] = [];
  const compute = createNearCompute(fake('near', diary), () => Promise.reject(new Error('expected no other thread')));
  await compute.open(setup);
  for (let step = 0; step < 3; step++) {
    compute.setWeights(Uint8Array.of(step));
    await compute.gradient(none, none);
  }
  await compute.close();
  expect(diary).toEqual([
    'near open',
    ...[0, 1, 2].flatMap((step) => [`near weights ${step}`, 'near gradient']),
    'near close',
  ]);
});

it('moves with the first weights after a long block, once, and takes them along though their memory is used again', async () => {
  const diary: string[] = [];
  let opened = 0;
  const openFar = async (): Promise<Compute> => {
    opened += 1;
    return fake('far', diary);
  };
  const compute = createNearCompute(
    fake('near', diary, () => 400),
    openFar,
  );
  await compute.open(setup);
  const weights = Uint8Array.of(1);
  compute.setWeights(weights);
  await compute.gradient(none, none);
  // The step's other block is computed where its weights are.
  await compute.gradient(none, none);
  weights[0] = 2;
  compute.setWeights(weights);
  weights[0] = 99;
  await compute.gradient(none, none);
  await compute.gradient(none, none);
  weights[0] = 3;
  compute.setWeights(weights);
  await compute.gradient(none, none);
  await compute.open(setup);
  await compute.close();
  expect(opened).toBe(1);
  expect(diary).toEqual([
    ...['near open', 'near weights 1', 'near gradient', 'near gradient'],
    ...['far open', 'near close', 'far weights 2', 'far gradient', 'far gradient'],
    ...['far weights 3', 'far gradient', 'far open', 'far close'],
  ]);
});

it('fails where it is used when no other thread can be opened', async () => {
  const diary: string[] = [];
  const compute = createNearCompute(
    fake('near', diary, () => 400),
    () => Promise.reject(new Error('no memory for a thread')),
  );
  await compute.open(setup);
  compute.setWeights(none);
  await compute.gradient(none, none);
  compute.setWeights(none);
  await expect(compute.gradient(none, none)).rejects.toThrow('no memory for a thread');
  await compute.close();
});

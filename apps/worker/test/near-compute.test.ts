/** When computing moves from the socket's thread to another, and what goes with it. */
import type { KeepingCompute, ShardGradient } from '@lockstep/training';
import { expect, it } from 'vitest';
import { createNearCompute } from '../src/near-compute.ts';

const setup = { model: {}, microbatchSize: 4 };
const none = new Uint8Array(0);

/** Computes nothing, takes as long as it is told, and keeps a diary. */
function fake(name: string, diary: string[], computeMs: () => number = () => 1): KeepingCompute {
  return {
    backend: 'cpu',
    numericMode: 'any',
    threads: 1,
    async open() {
      diary.push(`${name} open`);
    },
    setWeights(bytes) {
      diary.push(`${name} weights ${bytes[0]}`);
    },
    keepPixels(count, size) {
      diary.push(`${name} keeps ${count} of ${size}`);
      const rows: Uint8Array[] = Array.from({ length: count }, () => none);
      return {
        write(number, pixels) {
          diary.push(`${name} row ${number}: ${pixels}`);
          rows[number] = pixels.slice();
        },
        read: (number) => rows[number]!,
      };
    },
    async gradient(): Promise<ShardGradient> {
      diary.push(`${name} gradient`);
      return { gradient: none, lossSum: 0, correct: 0, count: 0, computeMs: computeMs() };
    },
    async close() {
      diary.push(`${name} close`);
    },
  };
}

it('computes where the socket is while shards are short, and opens no other thread', async () => {
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

it('moves with the first weights after a long shard, once, and takes them along though their memory is used again', async () => {
  const diary: string[] = [];
  let opened = 0;
  const openFar = async (): Promise<KeepingCompute> => {
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
  // The step's other shard is computed where its weights are.
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

it('moves the pixels that it keeps, and keeps those that come later where it computes then', async () => {
  const diary: string[] = [];
  let openFar = (_far: KeepingCompute): void => {};
  const far = new Promise<KeepingCompute>((resolve) => {
    openFar = resolve;
  });
  const compute = createNearCompute(
    fake('near', diary, () => 400),
    () => far,
  );
  await compute.open(setup);
  const table = compute.keepPixels(3, 1);
  table.write(0, Uint8Array.of(10));
  compute.setWeights(none);
  await compute.gradient(none, none);
  compute.setWeights(none);
  // While the other thread opens.
  table.write(2, Uint8Array.of(12));
  const moved = compute.gradient({ numbers: Uint32Array.of(0) }, none);
  openFar(fake('far', diary));
  await moved;
  table.write(1, Uint8Array.of(11));
  expect([0, 1, 2].map((number) => table.read(number)[0])).toEqual([10, 11, 12]);
  expect(diary.filter((line) => /row|keeps|close/.test(line))).toEqual([
    ...['near keeps 3 of 1', 'near row 0: 10', 'near row 2: 12'],
    ...['far keeps 3 of 1', 'far row 0: 10', 'far row 1: ', 'far row 2: 12', 'near close', 'far row 1: 11'],
  ]);
  await compute.close();
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

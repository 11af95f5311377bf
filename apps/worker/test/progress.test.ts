import { expect, it } from 'vitest';
import { Progress } from '../src/progress.ts';

it('a worker says now and then what it has computed since', () => {
  const progress = new Progress(1_000, 30_000);
  const shard = { step: 6, count: 64, computeMs: 5_000 };
  expect(progress.add(shard, 2_000)).toBeUndefined();
  expect(progress.add(shard, 30_999)).toBeUndefined();
  expect(progress.add({ ...shard, step: 1_233, count: 1_000 }, 31_000)).toBe(
    'step 1234: 3 shards with 1,128 samples in 30 s, computing 50 % of the time',
  );
  expect(progress.add(shard, 60_999)).toBeUndefined();
  expect(progress.add(shard, 61_000)).toBe('step 7: 2 shards with 128 samples in 30 s, computing 33 % of the time');
});

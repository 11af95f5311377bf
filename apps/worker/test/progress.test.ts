import { expect, it } from 'vitest';
import { WorkerLines, WorkProgress } from '../src/worker-lines.ts';

it('a worker says now and then what it has computed since', () => {
  const progress = new WorkProgress(1_000, 30_000);
  expect(progress.line({ step: 7, shards: 1, samples: 64, computeMs: 5_000 }, 2_000)).toBeUndefined();
  expect(progress.line({ step: 7, shards: 2, samples: 128, computeMs: 10_000 }, 30_999)).toBeUndefined();
  expect(progress.line({ step: 1_234, shards: 3, samples: 1_128, computeMs: 15_000 }, 31_000)).toBe(
    'step 1234: 3 shards with 1,128 samples in 30 s, computing 50 % of the time',
  );
  expect(progress.line({ step: 1_240, shards: 4, samples: 1_192, computeMs: 20_000 }, 60_999)).toBeUndefined();
  expect(progress.line({ step: 1_250, shards: 5, samples: 1_256, computeMs: 25_000 }, 61_000)).toBe(
    'step 1250: 2 shards with 128 samples in 30 s, computing 33 % of the time',
  );
});

it('counts from when it joined, not from when it was started', () => {
  const lines = new WorkerLines(30_000);
  lines.of({ type: 'joined', id: 'w1', returned: false }, 70_000);
  const totals = { step: 1, shards: 1, samples: 32, computeMs: 10 };
  expect(lines.of({ type: 'computed', ...totals }, 70_100)).toEqual([]);
  expect(lines.of({ type: 'computed', ...totals }, 100_000)).toEqual([
    'step 1: 1 shard with 32 samples in 30 s, computing 0 % of the time',
  ]);
});

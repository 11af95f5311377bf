/** From measurements to figures, text and a conclusion, each of which must follow from the measurements. */
import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import type { MeasuredTraining } from '../src/compare/measure.ts';
import {
  areSound,
  type ComparedTraining,
  comparedTraining,
  conclusionOf,
  resultLines,
} from '../src/compare/results.ts';
import { ddpName, pytorchName } from '../src/peers/pytorch.ts';
import { absent, measured, own, peer, sampleTraining } from './sample-results.ts';

describe('a result', () => {
  test('has ratios round by round, efficiency for each worker, and bytes a step', () => {
    const { rows, sameWeights, curveDistance } = measured(4, 8, 2);
    expect(rows.map(({ name }) => name)).toEqual([
      '1 thread',
      '1 worker',
      '2 workers',
      '2 processes',
      pytorchName,
      ddpName,
      'jax-js wasm',
    ]);
    expect(rows[0]).toMatchObject({ timesOneThread: { median: 1, min: 1, max: 1 }, efficiency: null, bytesPerStep: 0 });
    expect(rows[1]).toMatchObject({ timesOneThread: { median: 0.5 }, efficiency: 0.5, bytesPerStep: 1.5e6 });
    expect(rows[2]).toMatchObject({ timesOneThread: { median: 2, min: 2, max: 2 }, efficiency: 1 });
    expect(rows[2]).toMatchObject({ perSecond: { max: 256_000, min: 128_000 }, stepsToAccuracy: 12 });
    expect(rows[3]).toMatchObject({ timesOneThread: { median: 2 }, efficiency: 1, bytesPerStep: 1.5e6 });
    expect(rows[5]).toMatchObject({ timesOneThread: { median: 0.5 }, speedUp: { median: 0.5 } });
    // 8 ms in its one round; two of our processes needed 2 ms.
    expect(rows[5]).toMatchObject({ lockstepAgainstIt: { median: 4 } });
    // One thread of PyTorch took as long as one of ours in the first round, and half as long in the second.
    expect(rows[4]).toMatchObject({ speedUp: null, lockstepAgainstIt: { min: 0.5, max: 1 } });
    expect({ sameWeights, curveDistance }).toEqual({ sameWeights: true, curveDistance: 0 });
  });

  test('is not sound where a run failed, or where equal numeric modes gave other weights', () => {
    const base = [own('single', [4]), own(1, [4])];
    expect(areSound([comparedTraining(sampleTraining, [...base, absent], 0.5)])).toBe(true);
    const failed: MeasuredTraining = { kind: 'missing', name: '2 workers', status: 'failed', reason: 'it ended' };
    expect(areSound([comparedTraining(sampleTraining, [...base, failed], 0.5)])).toBe(false);
    const other = own(2, [4], { weightsSha256: 'cd'.repeat(32) });
    expect(areSound([comparedTraining(sampleTraining, [...base, other], 0.5)])).toBe(false);
    const mixed = own(2, [4], { weightsSha256: 'cd'.repeat(32), exactness: 'sample-exact' });
    expect(areSound([comparedTraining(sampleTraining, [...base, mixed], 0.5)])).toBe(true);
  });

  test('as text has every throughput, the missing peers, and whether the weights agree', () => {
    const text = resultLines(measured(4, 8, 2), 0.5).join('\n');
    expect(text).toContain('mlp, batch 512: 101,770 parameters, 20 steps of plain SGD');
    expect(text).toMatch(/lockstep, 2 workers +192,000 +\(128,000 \.\. 256,000\) +2\.00x +100 %/);
    expect(text).toContain('jax-js wasm absent: no <WebAssembly> here');
    expect(text).toContain('same weights, bit for bit');
    expect(text).toMatch(/PyTorch DDP, 2 processes 1\.2\.3.*\(0\.50x its own\)/);
  });
});

describe('the conclusion', () => {
  test('names for each training the cheapest way that is as fast as any', () => {
    const named = (name: string, rows: readonly MeasuredTraining[]): ComparedTraining => {
      const result = comparedTraining(sampleTraining, [...rows, peer(pytorchName, [4]), peer(ddpName, [8])], 0.5);
      return { ...result, training: { ...result.training, name } };
    };
    const messages = conclusionOf([
      named('small', [own('single', [1]), own('processes', [5]), own(1, [4]), own(2, [6])]),
      named('large', [own('single', [4]), own('processes', [4]), own(1, [8]), own(2, [2])]),
      named('even', [own('single', [4]), own('processes', [3.9]), own(1, [4]), own(2, [3.9])]),
    ]);
    expect(messages[0]).toBe(
      'Train on 1 thread of one process, as fast as anything that costs more here (npm start -- --single --threads 1): small and even.',
    );
    expect(messages[1]).toBe('Train with 2 workers, the fastest here: large (2.00x one thread).');
    expect(messages[2]).toMatch(
      /^Over sockets a step spends .* ms on everything but arithmetic, and one thread needs 1/,
    );
    expect(messages[3]).toBe(
      `Like for like, throughput over that of ${pytorchName}: 4.00x at small, 1.00x at large and 1.00x at even.`,
    );
    expect(messages[4]).toBe(
      `Like for like, throughput over that of ${ddpName}: 1.60x at small, 2.00x at large and 2.05x at even.`,
    );
  });

  test.skipIf(availableParallelism() === 1)('takes all threads of one process before workers', () => {
    const rows = [own('single', [4]), own('threads', [2]), own(1, [4]), own(2, [1.95])];
    const [message] = conclusionOf([comparedTraining(sampleTraining, rows, 0.5)]);
    expect(message).toMatch(/^Train on \d+ threads of one process.*\(2\.00x one thread\)\.$/);
  });

  test('is empty where nothing was compared', () => {
    expect(conclusionOf([comparedTraining(sampleTraining, [own('single', [4])], 0.5)])).toEqual([]);
  });
});

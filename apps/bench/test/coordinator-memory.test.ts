/** The limits of the coordinator's memory, and of a run without a late worker. */
import { expect, test } from 'vitest';
import { type MeasuredRun, memoryFacts } from '../src/benchmarks/coordinator-memory.ts';

const vectorBytes = 100e6;
const faults = { disconnects: 0, reassigned: 0, duplicated: 0, rejected: 0, quarantined: 0 };

/** A run with these numbers of resident vectors, one sample per second. */
function runOf(vectors: readonly number[], changes: Partial<typeof faults> = {}): MeasuredRun {
  const samples = vectors.map((count, index) => ({ atMs: 1_000 * index, bytes: count * vectorBytes }));
  return {
    samples,
    peakBytes: Math.max(...vectors) * vectorBytes,
    joinedAtMs: 2_000,
    evaluatedAtMs: 4_000,
    report: {
      model: { name: 'large', parameters: vectorBytes / 4 },
      faults: { ...faults, ...changes },
      exactness: 'bit-exact',
    },
  };
}

const baseBytes = 1.5 * vectorBytes;

test('the most that is resident at one time counts, whenever that is, and what is resident in training is told', () => {
  const [memory] = memoryFacts(runOf([1, 6.5, 5.5, 6.5, 6, 7.5]), baseBytes);
  expect(memory).toMatchObject({ holds: true, figures: { peakVectors: 6, trainingVectors: 4.5, vectorBytes } });
  expect(memory!.message).toBe(
    '6.00 at one time, 4.50 while it trains, of 100 MB each; Node and the samples take as much as 1.50',
  );
  expect(memoryFacts(runOf([1, 7.6, 4, 4, 4, 4]), baseBytes)[0]!.holds).toBe(false);
  expect(memoryFacts(runOf([1, 4, 4, 4, 4, 7.6]), baseBytes)[0]!.holds).toBe(false);
});

test.each(['disconnects', 'reassigned', 'duplicated'] as const)(
  '%s show a heartbeat or a deadline that was missed',
  (name) => {
    const vectors = [1, 4, 4, 4, 4, 4];
    expect(memoryFacts(runOf(vectors), baseBytes)[1]!.holds).toBe(true);
    expect(memoryFacts(runOf(vectors, { [name]: 1 }), baseBytes)[1]!.holds).toBe(false);
  },
);

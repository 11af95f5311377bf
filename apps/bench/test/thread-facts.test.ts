/** The limits for a second thread that pays off, and for memory that threads share. */
import { expect, test } from 'vitest';
import { speedFact } from '../src/benchmarks/tab-threads.ts';
import { memoryFacts } from '../src/benchmarks/thread-memory.ts';

test('two threads pay by the median pair, and one slow pair spoils nothing', () => {
  const fact = speedFact([40, 40, 60], [20, 40, 30], 256);
  expect(fact.holds).toBe(true);
  expect(fact.figures).toEqual({
    speedUp: 2,
    leastSpeedUp: 1,
    mostSpeedUp: 2,
    oneThreadImagesPerSecond: 6_400,
    twoThreadsImagesPerSecond: 256_000 / 30,
  });
  expect(fact.message).toBe('2.00x (1.00 .. 2.00): 6,400 images/s with one thread, 8,533 images/s with two');
  expect(speedFact([40, 40, 40], [20, 28, 30], 256).holds).toBe(false);
});

const threads = [1, 2, 4];
const sampleBytes = 47e6;
const few = [100e6, 112e6, 136e6];

test('threads may bring what each needs for itself', () => {
  const facts = memoryFacts(threads, [147e6, 159e6, 183e6], few, sampleBytes);
  expect(facts.map(({ holds }) => holds)).toEqual([true, true, true]);
  expect(facts.map(({ message }) => message)).toEqual([
    '147 MB resident; the samples lie in it 1.0 times',
    '159 MB resident, 12 MB more for each further thread; the samples lie in it 1.0 times',
    '183 MB resident, 12 MB more for each further thread; the samples lie in it 1.0 times',
  ]);
});

test('a copy of the samples for each thread is seen, and so is one for all of them', () => {
  const copies = memoryFacts(threads, [147e6, 159e6 + 47e6, 183e6 + 3 * 47e6], few, sampleBytes);
  expect(copies.map(({ holds }) => holds)).toEqual([true, false, false]);
  const two = memoryFacts(threads, [194e6, 206e6, 230e6], few, sampleBytes);
  expect(two.map(({ holds }) => holds)).toEqual([false, false, false]);
  const one = memoryFacts(threads, [147e6, 159e6, 183e6 + 47e6], few, sampleBytes);
  expect(one.map(({ holds }) => holds)).toEqual([true, true, false]);
});

/** The coordinator's benchmarks: their check, and both coordinators as built programs, which must compute correctly. */
import { describe, expect, test } from 'vitest';
import { bytesFact } from '../src/benchmarks/many-workers.ts';
import type { openCoordinator } from '../src/peers/coordinator/open.ts';
import {
  batchOf,
  coordinatorCheck,
  initialWeights,
  pixelsPerSample,
  readyGradient,
  vectorBytes,
  warmUpSteps,
} from '../src/workloads/coordinator-load.ts';

/** Calls the built function, which starts built programs. */
async function openBuilt(...options: Parameters<typeof openCoordinator>): ReturnType<typeof openCoordinator> {
  const program = new URL('../dist/peers/coordinator/open.js', import.meta.url).href;
  return (await import(/* @vite-ignore */ program)).openCoordinator(...options);
}

describe.each(['lockstep', 'bare'] as const)('the %s coordinator', (kind) => {
  test.each([1, 4])('with %i workers ends with the reference weights, burst after burst', async (workers) => {
    const coordinator = await openBuilt(kind, workers);
    try {
      for (const steps of [2, 5]) {
        const { ms, bytesReceived } = await coordinator.burst(steps);
        expect(ms).toBeGreaterThan(0);
        expect(coordinatorCheck(steps)(await coordinator.result()).distance).toBeLessThan(1e-4);
        // Shares follow measured speeds, so that not every worker has one in every step.
        expect(bytesReceived / (warmUpSteps + steps)).toBeGreaterThan(vectorBytes);
      }
    } finally {
      await coordinator.close();
    }
  });
});

test('the check sees microbatches counted twice, and missing ones', () => {
  const gradient = readyGradient();
  const initial = initialWeights();
  const after = (count: number): Float32Array =>
    initial.map((weight, index) => weight - ((warmUpSteps + 1) * 0.1 * count * gradient[index]!) / batchOf(2));
  const check = coordinatorCheck(1);
  expect(check(after(8)).distance).toBeLessThan(1e-5);
  expect(check(after(12)).distance).toBeCloseTo(0.5, 3);
  expect(check(after(4)).distance).toBeCloseTo(0.5, 3);
});

test('a burst holds with the bytes of its vectors and pixels, and not with a vector too many', () => {
  const steps = warmUpSteps + 10;
  const vectors = 8 * vectorBytes * steps;
  const burst = {
    ms: 50,
    cpuMs: 25,
    residentBytes: 1e8,
    bytesSent: vectors + steps * batchOf(8) * pixelsPerSample,
    bytesReceived: vectors,
  };
  const fact = bytesFact(8, 10, burst);
  expect(fact.holds).toBe(true);
  expect(fact.figures).toMatchObject({ workers: 8, msPerStep: 5, coreShare: 0.5 });
  expect(bytesFact(8, 10, { ...burst, bytesReceived: vectors + steps * vectorBytes }).holds).toBe(false);
  expect(bytesFact(8, 10, { ...burst, bytesSent: vectors }).holds).toBe(false);
});

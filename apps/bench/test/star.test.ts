/** The star question's judges, and both stars as built programs: they must compute what they say. */
import { describe, expect, test } from 'vitest';
import type { Star, StarKind } from '../src/peers/star/open.ts';
import { judgeBurst } from '../src/questions/star-room.ts';
import {
  starBatch,
  starGradient,
  starInitial,
  starJudge,
  starPixels,
  starVectorBytes,
  starWarmUpSteps,
} from '../src/work/star.ts';

/** The built one, which starts built programs. */
async function openStar(kind: StarKind, workers: number): Promise<Star> {
  const program = new URL('../dist/peers/star/open.js', import.meta.url).href;
  return (await import(/* @vite-ignore */ program)).openStar(kind, workers);
}

describe.each(['lockstep', 'bare'] as const)('the %s star', (kind) => {
  test.each([1, 4])('of %i workers ends with the true weights, burst after burst', async (workers) => {
    const star = await openStar(kind, workers);
    try {
      for (const steps of [2, 5]) {
        expect(await star.run(steps)).toBeGreaterThan(0);
        expect(starJudge(workers, steps)(await star.result()).distance).toBeLessThan(1e-4);
        expect(star.last!.bytesReceived / (starWarmUpSteps + steps)).toBeGreaterThan(workers * starVectorBytes);
      }
    } finally {
      await star.close();
    }
  });
});

test('the judge sees a worker that was counted twice, and one that was left out', () => {
  const gradient = starGradient();
  const initial = starInitial();
  const after = (count: number): Float32Array =>
    initial.map((weight, index) => weight - ((starWarmUpSteps + 1) * 0.1 * count * gradient[index]!) / starBatch(2));
  expect(starJudge(2, 1)(after(2)).distance).toBeLessThan(1e-5);
  expect(starJudge(2, 1)(after(3)).distance).toBeCloseTo(0.5, 3);
  expect(starJudge(2, 1)(after(1)).distance).toBeCloseTo(0.5, 3);
});

test('a burst holds with the bytes of its vectors and pixels, and not with a vector too many', () => {
  const steps = starWarmUpSteps + 10;
  const vectors = 8 * starVectorBytes * steps;
  const burst = {
    ms: 50,
    cpuMs: 25,
    residentBytes: 1e8,
    bytesSent: vectors + steps * starBatch(8) * starPixels,
    bytesReceived: vectors,
  };
  const fact = judgeBurst(8, 10, burst);
  expect(fact.holds).toBe(true);
  expect(fact.figures).toMatchObject({ workers: 8, msPerStep: 5, coreShare: 0.5 });
  expect(judgeBurst(8, 10, { ...burst, bytesReceived: vectors + steps * starVectorBytes }).holds).toBe(false);
  expect(judgeBurst(8, 10, { ...burst, bytesSent: vectors }).holds).toBe(false);
});

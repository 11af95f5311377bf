/** The cost model: exact at measured points, and never better for a worse link, a slower worker or more latency. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  breakEvenBandwidth,
  type Costs,
  fitCosts,
  predict,
  scalingEstimate,
  sharesOf,
} from '../src/compare/predict.ts';
import { reportOf } from './sample-report.ts';

const costs: Costs = {
  batch: 512,
  microbatchSize: 64,
  cores: 2,
  singleStepMs: 3,
  computeFixedMs: 0.2,
  computeMsPerSample: 0.005,
  contention: 1.1,
  firstWorkerMs: 1.5,
  nextWorkerMs: 0.5,
  handlingMs: 0.75,
  weightBytes: 407_080,
  gradientBytes: 407_080,
  sampleBytes: 786,
};

const anyCosts = fc.record({
  batch: fc.integer({ min: 8, max: 5_000 }),
  microbatchSize: fc.constantFrom(16, 32, 64),
  cores: fc.integer({ min: 1, max: 64 }),
  singleStepMs: fc.double({ min: 0.1, max: 1e3, noNaN: true }),
  computeFixedMs: fc.double({ min: 0, max: 10, noNaN: true }),
  computeMsPerSample: fc.double({ min: 1e-4, max: 1, noNaN: true }),
  contention: fc.double({ min: 1, max: 2, noNaN: true }),
  firstWorkerMs: fc.double({ min: 0, max: 50, noNaN: true }),
  nextWorkerMs: fc.double({ min: 0, max: 50, noNaN: true }),
  handlingMs: fc.double({ min: 0, max: 50, noNaN: true }),
  weightBytes: fc.integer({ min: 4, max: 1e8 }),
  gradientBytes: fc.integer({ min: 4, max: 1e8 }),
  sampleBytes: fc.constant(786),
});
const anySpeeds = fc.array(fc.double({ min: 0.05, max: 20, noNaN: true }), { minLength: 1, maxLength: 12 });
const anyLink = fc.record({
  bytesPerSecond: fc.double({ min: 1e4, max: 1e10, noNaN: true }),
  latencyMs: fc.double({ min: 0, max: 500, noNaN: true }),
});

describe('a prediction', () => {
  test('for one worker on this machine is what one worker was measured to take', () => {
    const { stepMs, imagesPerSecond, speedUp } = predict(costs, { speeds: [1], link: undefined });
    expect(stepMs).toBeCloseTo(0.2 + 512 * 0.005 + 1.5, 9);
    expect(imagesPerSecond).toBeCloseTo((512 / stepMs) * 1000, 6);
    expect(speedUp).toBeCloseTo(3 / stepMs, 9);
  });

  test('of more workers than cores has them take turns', () => {
    const at = (count: number) => predict(costs, { speeds: new Array(count).fill(1), link: undefined }).computeMs;
    expect(at(2)).toBeCloseTo((0.2 + 256 * 0.005) * 1.1, 9);
    expect(at(4)).toBeCloseTo(((4 * (0.2 + 128 * 0.005)) / 2) * 1.1, 9);
    // The rest of their work takes turns, too.
    const { otherMs } = predict(costs, { speeds: [1, 1, 1, 1], link: undefined });
    expect(otherMs).toBeCloseTo(1.5 + 0.75 + 3 * 0.5, 9);
    // Behind a link, each worker has its own machine.
    const link = { bytesPerSecond: 1e9, latencyMs: 0 };
    expect(predict(costs, { speeds: [1, 1, 1, 1], link }).computeMs).toBeCloseTo(0.2 + 128 * 0.005, 9);
  });

  test('counts the bytes of all workers on the coordinator’s link, and two ways of latency', () => {
    const link = { bytesPerSecond: 12.5e6, latencyMs: 5 };
    const { linkMs } = predict(costs, { speeds: [1, 1], link });
    expect(linkMs).toBeCloseTo((2 * 2 * 407_080 * 1000) / 12.5e6 + 10, 6);
  });

  test('lets pixels travel while workers compute, and waits for them only where that is too short', () => {
    const link = { bytesPerSecond: 12.5e6, latencyMs: 0 };
    const heavy = { ...costs, sampleBytes: 78_600 };
    const { linkMs, computeMs } = predict(heavy, { speeds: [1, 1], link });
    const ms = (bytes: number): number => (bytes * 1000) / 12.5e6;
    // 512 large samples after two sets of weights; gradients travel the other way meanwhile.
    expect(linkMs).toBeCloseTo(ms(2 * 407_080) + ms(512 * 78_600) - computeMs, 6);
  });

  test('is never slower over a better link, with faster workers, or with less to compute', () => {
    fc.assert(
      fc.property(
        anyCosts,
        anySpeeds,
        anyLink,
        fc.double({ min: 1, max: 10, noNaN: true }),
        (given, speeds, link, more) => {
          const { stepMs } = predict(given, { speeds, link });
          const better = [
            predict(given, { speeds, link: { ...link, bytesPerSecond: link.bytesPerSecond * more } }),
            predict(given, { speeds, link: { ...link, latencyMs: link.latencyMs / more } }),
            predict(given, { speeds: speeds.map((speed) => speed * more), link }),
            predict({ ...given, computeMsPerSample: given.computeMsPerSample / more }, { speeds, link }),
          ];
          for (const each of better) expect(each.stepMs).toBeLessThanOrEqual(stepMs * (1 + 1e-9));
        },
      ),
    );
  });

  test('has parts that add up to the step, all of them finite and not negative', () => {
    fc.assert(
      fc.property(anyCosts, anySpeeds, fc.option(anyLink, { nil: undefined }), (given, speeds, link) => {
        const { stepMs, computeMs, linkMs, otherMs } = predict(given, { speeds, link });
        for (const part of [computeMs, linkMs, otherMs]) expect(part).toBeGreaterThanOrEqual(0);
        expect(computeMs + linkMs + otherMs).toBeCloseTo(stepMs, 6);
        expect(Number.isFinite(stepMs)).toBe(true);
      }),
    );
  });

  test('gives out every microbatch once, in order', () => {
    fc.assert(
      fc.property(anyCosts, anySpeeds, (given, speeds) => {
        const shards = sharesOf(given, speeds).flat();
        let next = 0;
        for (const { lo, n } of shards) {
          expect(lo).toBe(next);
          next = lo + n;
        }
        expect(next).toBe(Math.ceil(given.batch / given.microbatchSize));
      }),
    );
  });

  test('needs a speed above 0 for each worker', () => {
    expect(() => predict(costs, { speeds: [1, 0], link: undefined })).toThrow(RangeError);
    expect(() => predict(costs, { speeds: [], link: undefined })).toThrow(RangeError);
  });
});

describe('the scaling estimate', () => {
  test('stops at the first number of workers from which more add next to nothing', () => {
    fc.assert(
      fc.property(anyCosts, fc.option(anyLink, { nil: undefined }), (given, link) => {
        const { predictions, best, pays } = scalingEstimate(given, link);
        expect(predictions.map(({ workers }) => workers)).toEqual(predictions.map((_, index) => index + 1));
        for (const { imagesPerSecond, workers } of predictions) {
          expect(imagesPerSecond).toBeLessThanOrEqual(best.imagesPerSecond * 1.02 * (1 + 1e-9));
          if (workers < best.workers) expect(imagesPerSecond).toBeLessThan(best.imagesPerSecond);
        }
        expect(pays).toBe(best.speedUp > 1);
      }),
    );
  });

  test('has no more workers than there are microbatches', () => {
    expect(scalingEstimate(costs, undefined).predictions).toHaveLength(8);
  });
});

describe('the break-even bandwidth', () => {
  test('is where these workers are as fast as one process', () => {
    fc.assert(
      fc.property(anyCosts, anySpeeds, fc.double({ min: 0, max: 20, noNaN: true }), (given, speeds, latencyMs) => {
        const bytesPerSecond = breakEvenBandwidth(given, speeds, latencyMs);
        if (bytesPerSecond === undefined) {
          const link = { bytesPerSecond: 1e30, latencyMs };
          expect(predict(given, { speeds, link }).speedUp).toBeLessThanOrEqual(1 + 1e-6);
        } else if (bytesPerSecond < 1e15) {
          expect(predict(given, { speeds, link: { bytesPerSecond, latencyMs } }).speedUp).toBeCloseTo(1, 6);
        }
      }),
    );
  });
});

describe('a fit', () => {
  const run = (batch: number, workers: number | 'single', computeMs: number, stepMs: number) =>
    reportOf({ batch, workers, computeMs, stepMs });

  test('finds the costs that made the figures, and then predicts them', () => {
    const fitted = fitCosts(
      {
        single: [run(512, 'single', 2.76, 3), run(512, 'single', 2.76, 3)],
        one: [run(512, 1, 2.76, 4.26)],
        oneSmall: [run(128, 1, 0.84, 2.4)],
        two: [run(512, 2, 1.628, 3.628)],
      },
      2,
    );
    expect(fitted).toMatchObject({ batch: 512, microbatchSize: 64, cores: 2 });
    // The 512 images with labels and numbers in the megabyte sent per step do not count as weights.
    expect(fitted).toMatchObject({ weightBytes: 1e6 - 512 * 790, gradientBytes: 5e5 });
    for (const name of [
      'singleStepMs',
      'computeFixedMs',
      'computeMsPerSample',
      'contention',
      'firstWorkerMs',
      'nextWorkerMs',
      'handlingMs',
    ] as const) {
      expect(fitted[name]).toBeCloseTo(costs[name], 6);
    }
    expect(predict(fitted, { speeds: [1], link: undefined }).stepMs).toBeCloseTo(4.26, 6);
    expect(predict(fitted, { speeds: [1, 1], link: undefined }).stepMs).toBeCloseTo(3.628, 6);
  });

  test('of noise that contradicts itself still has no negative cost, and one worker as measured', () => {
    const ms = fc.double({ min: 0.01, max: 100, noNaN: true });
    fc.assert(
      fc.property(ms, ms, ms, ms, ms, ms, (one, oneSmall, two, rest, restTwo, single) => {
        const fitted = fitCosts(
          {
            single: [run(512, 'single', single, single)],
            one: [run(512, 1, one, one + rest)],
            oneSmall: [run(128, 1, oneSmall, oneSmall + rest)],
            two: [run(512, 2, two, two + restTwo)],
          },
          2,
        );
        const { computeFixedMs, computeMsPerSample, contention, firstWorkerMs, nextWorkerMs } = fitted;
        for (const cost of [computeFixedMs, computeMsPerSample, firstWorkerMs, nextWorkerMs]) {
          expect(cost).toBeGreaterThanOrEqual(-1e-9);
        }
        expect(contention).toBeGreaterThanOrEqual(1);
        expect(predict(fitted, { speeds: [1], link: undefined }).stepMs).toBeCloseTo(one + rest, 6);
      }),
    );
  });
});

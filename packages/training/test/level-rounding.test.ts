/** Rounding to levels: the same bits as formulas on every backend and in plain loops, and right on average. */
import type { HostBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { shiftOf } from '../src/level-rounding.ts';
import { nextExponents, unitsOf } from '../src/level-units.ts';
import { levelRounding, roundMicrobatch, roundSum } from '../src/node-rounding.ts';
import { RoundingPasses } from '../src/rounding-passes.ts';
import { everyHostBackend } from './support.ts';

const backends = await everyHostBackend();
afterAll(() => Promise.all(backends.map((backend) => backend.close?.())));

const size = 130;
const figures = [3.25, 7];
const vectors = fc.float32Array({ minLength: size, maxLength: size });
const exponents = fc
  .array(fc.integer({ min: -100, max: 100 }), { minLength: 3, maxLength: 3 })
  .map((e) => Int8Array.from(e));
const keys = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  step: fc.nat(),
  firstSample: fc.nat(),
});

const uploaded = (backend: HostBackend, values: Iterable<number>) => {
  const all = Float32Array.from(values);
  const storage = backend.allocate(all.length);
  backend.upload(storage, all);
  return storage;
};

describe('rounding to levels', () => {
  it('has the same bits as formulas and in plain loops, whatever the values', () => {
    fc.assert(
      fc.property(vectors, vectors, exponents, keys, (left, right, ofBlocks, key) => {
        const rounding = levelRounding(ofBlocks, size);
        const nodes = [left, right].map((values) => values.slice());
        for (const node of nodes) roundMicrobatch(node, rounding, key);
        const sum = nodes[0]!.map((value, index) => value + nodes[1]![index]!);
        roundSum(sum, rounding);
        for (const backend of backends) {
          const passes = new RoundingPasses(backend);
          passes.use(rounding);
          const shift = uploaded(backend, [shiftOf(key)]);
          const storages = [left, right].map((values) => uploaded(backend, [...values, ...figures]));
          for (const [index, storage] of storages.entries()) {
            const program = backend.prepare(passes.microbatchCalls(storage, shift));
            program.run();
            expect(backend.view(storage).slice()).toEqual(Float32Array.of(...nodes[index]!, ...figures));
            program.dispose();
          }
          const program = passes.prepareSum({ left: storages[0]!, right: storages[1]! }, storages[1]!);
          program.run();
          expect(backend.view(storages[1]!).slice()).toEqual(Float32Array.of(...sum, 6.5, 14));
          program.dispose();
          passes.dispose();
          for (const storage of [shift, ...storages]) backend.free(storage);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives whole levels, up to the last one, and no more than one from the value', () => {
    fc.assert(
      fc.property(vectors, exponents, keys, (values, ofBlocks, key) => {
        const units = unitsOf(ofBlocks, size);
        const rounded = values.slice();
        roundMicrobatch(rounded, { type: 'int8', units, exponents: new Int8Array() }, key);
        for (const [index, value] of values.entries()) {
          const [level, exact] = [rounded[index]! / units[index]!, value / units[index]!];
          if (!Number.isFinite(value)) expect(level).toBeNaN();
          else {
            expect(Number.isInteger(level) && Math.abs(level) <= 127).toBe(true);
            expect(Math.abs(level - Math.max(-127, Math.min(127, exact)))).toBeLessThanOrEqual(1);
          }
        }
      }),
    );
  });

  it('keeps each value on average over the steps, however small it is', () => {
    const steps = 4_000;
    const values = Float32Array.from({ length: size }, (_, index) => (index - 60) / 40);
    const rounding = levelRounding(new Int8Array(Math.ceil(size / 64)), size);
    const sums = new Float64Array(size);
    for (let step = 0; step < steps; step++) {
      const rounded = values.slice();
      roundMicrobatch(rounded, rounding, { seed: 1, step, firstSample: 64 });
      for (const [index, value] of rounded.entries()) sums[index]! += value;
    }
    // The mean of a value that is a level or the next one deviates by no more than half a level over the root of the steps.
    const deviation = 0.5 / Math.sqrt(steps);
    for (const [index, value] of values.entries()) {
      expect(Math.abs(sums[index]! / steps - value)).toBeLessThan(5 * deviation);
    }
  });
});

describe('the units of the next step', () => {
  const blocks = 3;
  const length = 64 * (blocks - 1) + 5;

  it('give the largest value of a block 33 to 64 levels, unless it has fallen by more than half', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -8_000_000, max: 8_000_000 }), { minLength: 3, maxLength: 3 }),
        (largest) => {
          const root = Float32Array.from({ length }, (_, index) => (index % 64 === 3 ? largest[index >> 6]! : 0));
          const units = unitsOf(nextExponents(root, length), length);
          const top = Math.max(...units);
          for (const [block, value] of largest.entries()) {
            const levels = Math.abs(value) / units[64 * block]!;
            expect(levels).toBeLessThanOrEqual(64);
            if (units[64 * block]! > top * 2 ** -12) expect(levels).toBeGreaterThan(32);
          }
        },
      ),
    );
  });

  it('fall by half in a step, and rise at once', () => {
    const rootOf = (value: number) => new Float32Array(length).fill(value);
    const first = nextExponents(rootOf(64), length);
    expect([...first]).toEqual([0, 0, 0]);
    expect([...nextExponents(rootOf(1), length, first)]).toEqual([-1, -1, -1]);
    expect([...nextExponents(rootOf(64 * 8), length, first)]).toEqual([3, 3, 3]);
  });

  it('of a block without values stay near those of the largest', () => {
    const root = Float32Array.from({ length }, (_, index) => (index < 64 ? 64 : 0));
    let exponents = nextExponents(root, length);
    for (let step = 0; step < 50; step++) exponents = nextExponents(root, length, exponents);
    expect([...exponents]).toEqual([0, -12, -12]);
  });
});

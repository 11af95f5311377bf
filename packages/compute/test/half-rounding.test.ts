/** Rounding to half precision matches PyTorch, with the same bits as a formula on every backend and in plain loops. */
import { type HostBackend, input, prepareElementwise } from '@lockstep/tensor';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { halfFormula, roundToHalves } from '../src/half-rounding.ts';
import golden from './half-golden.json' with { type: 'json' };
import { everyHostBackend } from './support.ts';

const backends = await everyHostBackend();
afterAll(() => Promise.all(backends.map((backend) => backend.close?.())));

function byFormula(backend: HostBackend, values: Float32Array, unit: number): Float32Array {
  const storage = backend.allocate(values.length);
  backend.upload(storage, values);
  const view = { storage, strides: [1] };
  const formula = halfFormula(input(0), unit);
  const program = prepareElementwise(backend, [
    { kind: 'map', formula, shape: [values.length], inputs: [view], output: storage },
  ]);
  program.run();
  program.dispose();
  const rounded = backend.view(storage).slice();
  backend.free(storage);
  return rounded;
}

function byLoop(values: Float32Array, unit: number): Float32Array {
  const rounded = values.slice();
  roundToHalves(rounded, unit);
  return rounded;
}

/** PyTorch keeps the sign of zero; this rounding drops it. */
const withoutSignOfZero = (value: number): number => value + 0;

/** Floats of any bit pattern: small, large, NaN and infinite. */
const anyFloats = fc.float32Array({ minLength: 1, maxLength: 300 });
const nearHalves = fc
  .array(
    fc.tuple(fc.integer({ min: -2_047, max: 2_047 }), fc.integer({ min: -26, max: 8 }), fc.constantFrom(0, 0.25, 0.5)),
    { minLength: 1, maxLength: 100 },
  )
  .map((parts) => Float32Array.from(parts, ([whole, exponent, rest]) => (whole + rest) * 2 ** exponent));
const units = fc.integer({ min: -12, max: 12 }).map((exponent) => 2 ** exponent);

describe('rounding to halves', () => {
  it.each([1, 2 ** -6, 2 ** 9])('is that of PyTorch, in units of %d', (unit) => {
    const values = Float32Array.from(golden.values, (value) => value * unit);
    const expected = Float32Array.from(golden.halves, (value) => withoutSignOfZero(value * unit));
    expect(values.length).toBeGreaterThan(700);
    expect(byLoop(values, unit)).toEqual(expected);
    for (const backend of backends) expect(byFormula(backend, values, unit)).toEqual(expected);
  });

  it('has the same bits as a formula and in plain loops, whatever the value', () => {
    fc.assert(
      fc.property(fc.oneof(anyFloats, nearHalves), units, (values, unit) => {
        const expected = byLoop(values, unit);
        for (const backend of backends) expect(byFormula(backend, values, unit)).toEqual(expected);
      }),
    );
  });

  it('changes no half', () => {
    fc.assert(
      fc.property(anyFloats, units, (values, unit) => {
        const once = byLoop(values, unit);
        expect(byLoop(once, unit)).toEqual(once);
      }),
    );
  });

  it('keeps what is too large at the largest half, and what is not finite visible', () => {
    const values = Float32Array.of(65_519, 65_520, 1e30, -1e9, Number.NaN, Number.POSITIVE_INFINITY, -3e38);
    expect([...byLoop(values, 1)]).toEqual([65_504, 65_504, 65_504, -65_504, Number.NaN, Number.NaN, Number.NaN]);
    expect(byLoop(Float32Array.of(1e9), 4)[0]).toBe(4 * 65_504);
  });
});

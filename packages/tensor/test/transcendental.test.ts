/** Accuracy of exp and log against float64, and the same bits from the kernels. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exp32, log32 } from '../src/float32.ts';
import { exp, fromArray, log, type Tensor, tidy } from '../src/index.ts';
import { bitsOf, openAll, randomStream } from './support.ts';

const backends = await openAll();

/** Error in units of the last place of the float32 nearest to `exact`. */
function ulpError(computed: number, exact: number): number {
  const nearest = new Float32Array([Math.abs(exact)]);
  const bits = new Uint32Array(nearest.buffer);
  const before = nearest[0]!;
  bits[0]! += 1;
  return Math.abs(computed - exact) / (nearest[0]! - before);
}

function fromBits(bits: number): number {
  return new Float32Array(new Uint32Array([bits]).buffer)[0]!;
}

describe('accuracy', () => {
  it('exp is within 1 ulp wherever its value is finite, subnormal values included', () => {
    let worst = 0;
    for (let x = -103.9; x < 88.7; x += 0.0037) {
      const rounded = Math.fround(x);
      worst = Math.max(worst, ulpError(exp32(rounded), Math.exp(rounded)));
    }
    expect(worst).toBeLessThan(1);
  });

  it('log is within 1 ulp over all positive floats, and densely around 1', () => {
    let worst = 0;
    const check = (bits: number): void => {
      const x = fromBits(bits);
      if (x !== 1) worst = Math.max(worst, ulpError(log32(x), Math.log(x)));
    };
    for (let bits = 1; bits < 0x7f800000; bits += 40_009) check(bits);
    for (let bits = 0x3f000000; bits < 0x40000000; bits += 211) check(bits);
    expect(worst).toBeLessThan(1);
  });

  it('has the limits of the functions', () => {
    expect([exp32(0), exp32(-Infinity), exp32(Infinity), exp32(Number.NaN)]).toEqual([1, 0, Infinity, Number.NaN]);
    expect([exp32(-104.5), exp32(89)]).toEqual([0, Infinity]);
    expect([log32(1), log32(0), log32(-0), log32(-1)]).toEqual([0, -Infinity, -Infinity, Number.NaN]);
    expect([log32(Infinity), log32(Number.NaN)]).toEqual([Infinity, Number.NaN]);
  });
});

describe.each(backends.map((backend) => [backend.name, backend] as const))('%s', (_, backend) => {
  const on = (operation: (x: Tensor) => Tensor, values: Float32Array): Float32Array =>
    tidy(() => backend.view(operation(fromArray(backend, values)).storage).slice());

  it('gives the bits of the formulas for random bit patterns', () => {
    const random = randomStream(5);
    const patterns = Uint32Array.from({ length: 20_003 }, () => Math.floor(random() * 2 ** 32));
    const values = new Float32Array(patterns.buffer);
    for (const [operation, formula] of [
      [exp, exp32],
      [log, log32],
    ] as const) {
      const computed = on(operation, values);
      // Which NaN an engine gives is its own business.
      const wrong = values.findIndex((value, index) => !Object.is(computed[index], Math.fround(formula(value))));
      expect(wrong, `${operation.name}(${values[wrong]})`).toBe(-1);
    }
  });

  it('gives the same bits wherever an element stands in a tensor', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), fc.integer({ min: 0, max: 9 }), (value, before) => {
        const padded = new Float32Array(before + 1).fill(0.5);
        padded[before] = value;
        const alone = bitsOf(on(exp, Float32Array.of(value)));
        expect(bitsOf(on(exp, padded)).subarray(before)).toEqual(alone);
      }),
      { numRuns: 200, seed: 11 },
    );
  });
});

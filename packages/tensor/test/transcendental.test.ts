/** Accuracy of exp, log, tanh and others compared with float64, and the same bits from the kernels. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { primitives } from '../src/formula.ts';
import {
  exp,
  fromArray,
  gelu,
  log,
  normalCdf,
  pow,
  sigmoid,
  softplus,
  sqrt,
  sum,
  type Tensor,
  tanh,
  tidy,
  valueAndGrad,
} from '../src/index.ts';
import { normalQuantile } from '../src/random.ts';
import { bitsOf, openAll, randomStream } from './support.ts';

const backends = await openAll();
const { js: exp32 } = primitives.exp;
const { js: log32 } = primitives.log;
const { js: tanh32 } = primitives.tanh;
const { js: sigmoid32 } = primitives.sigmoid;
const { js: softplus32 } = primitives.softplus;
const { js: normalCdf32 } = primitives.normalCdf;
const { js: geluSlope32 } = primitives.geluSlope;
const { js: pow32 } = primitives.pow;

/** The derivative of gelu. */
function geluSlope(x: Tensor): Tensor {
  return valueAndGrad((leaf) => sum(gelu(leaf!)), [x]).gradients[0]!;
}

/** Returns the error in units in the last place of the float32 nearest to `exact`. */
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

  it.each([
    ['tanh', 3, tanh32, Math.tanh, 12],
    ['sigmoid', 4, sigmoid32, (x: number) => 1 / (1 + Math.exp(-x)), 110],
    ['softplus', 4, softplus32, (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), 110],
  ] as const)('%s is within %i ulp, small, large and subnormal', (_, bound, computed, exact, limit) => {
    const random = randomStream(8);
    let worst = 0;
    for (let index = 0; index < 30_000; index++) {
      const x = Math.fround((2 * random() - 1) * limit * 2 ** (index % 3 === 0 ? -30 * random() : 0));
      if (x !== 0) worst = Math.max(worst, ulpError(computed(x), exact(x)));
    }
    expect(worst).toBeLessThan(bound);
  });

  it('tanh never falls, from 0 to 1', () => {
    let before = 0;
    for (let bits = 0; bits < 0x41200000; bits += bits < 0x3c000000 ? 9973 : 211) {
      const value = tanh32(fromBits(bits));
      expect(value).toBeGreaterThanOrEqual(before);
      before = value;
    }
    expect(before).toBe(1);
  });

  it('pow is within 0.51 ulp wherever its value is a normal number', () => {
    const random = randomStream(9);
    let worst = 0;
    for (let index = 0; index < 30_000; index++) {
      const x = Math.fround(2 ** (40 * (2 * random() - 1)) * (random() < 0.5 ? 1 : 1 + random() * 1e-3));
      const y = Math.fround((2 * random() - 1) * 10 ** (3 * random() - 1));
      const exact = x ** y;
      if (exact > 1.2e-38 && exact < 3.4e38) worst = Math.max(worst, ulpError(pow32(x, y), exact));
    }
    expect(worst).toBeLessThan(0.51);
  });

  it('the normal distribution function is within 8 ulp of its integral, and within 2^-22', () => {
    // Simpson's rule on exp(-t^2 / 2), from x until the rest is below 1e-9 of the integral.
    for (const x of [-12.5, -9, -6.25, -4, -3, -2, -1, -0.5, -0.125]) {
      const steps = 4000;
      const width = 8 / Math.max(1, -x) / steps;
      let total = 0;
      for (let index = 0; index <= 2 * steps; index++) {
        const t = x - index * width;
        const weight = index === 0 || index === 2 * steps ? 1 : index % 2 === 1 ? 4 : 2;
        total += weight * Math.exp(-(t * t) / 2);
      }
      const exact = (total * width) / 3 / Math.sqrt(2 * Math.PI);
      expect(ulpError(normalCdf32(x), exact), `at ${x}`).toBeLessThan(8);
      expect(Math.abs(normalCdf32(-x) - (1 - exact))).toBeLessThan(2 ** -22);
      const slope = exact + (x * Math.exp(-(x * x) / 2)) / Math.sqrt(2 * Math.PI);
      expect(Math.abs(geluSlope32(x) - slope)).toBeLessThan(2 ** -22);
      expect(Math.abs(geluSlope32(-x) - (1 - slope))).toBeLessThan(2 ** -22);
    }
    expect(normalCdf32(0)).toBe(0.5);
  });

  it('has the quantiles of the normal distribution', () => {
    // Values from scipy.stats.norm.ppf.
    const known = [
      [0.5, 0],
      [0.975, 1.959963984540054],
      [0.075, -1.4395314709384563],
      [0.01, -2.3263478740408408],
      [1e-6, -4.753424308822899],
      [2 ** -33, -6.337957754553786],
    ] as const;
    for (const [probability, value] of known) expect(normalQuantile(probability)).toBeCloseTo(value, 9);
  });

  it('is safe far out', () => {
    expect([-1e4, 1e4].map(tanh32)).toEqual([-1, 1]);
    expect([-1e4, 1e4].map(sigmoid32)).toEqual([0, 1]);
    expect([-1e4, 1e4].map(softplus32)).toEqual([0, 1e4]);
    expect([-1e4, 1e4].map(normalCdf32)).toEqual([0, 1]);
    const far = [-Infinity, Infinity, Number.NaN];
    expect(far.map(tanh32)).toEqual([-1, 1, Number.NaN]);
    expect(far.map(sigmoid32)).toEqual([0, 1, Number.NaN]);
    expect(far.map(softplus32)).toEqual([0, Infinity, Number.NaN]);
    expect(far.map(normalCdf32)).toEqual([0, 1, Number.NaN]);
    expect(far.map(geluSlope32)).toEqual([0, 1, Number.NaN]);
    expect(tanh32(-0)).toBe(-0);
  });

  it('has the limits of the functions', () => {
    expect([exp32(0), exp32(-Infinity), exp32(Infinity), exp32(Number.NaN)]).toEqual([1, 0, Infinity, Number.NaN]);
    expect([exp32(-104.5), exp32(89)]).toEqual([0, Infinity]);
    expect([log32(1), log32(0), log32(-0), log32(-1)]).toEqual([0, -Infinity, -Infinity, Number.NaN]);
    expect([log32(Infinity), log32(Number.NaN)]).toEqual([Infinity, Number.NaN]);
  });
});

describe.each(backends)('$name', (backend) => {
  const on = (operation: (x: Tensor) => Tensor, values: Float32Array): Float32Array =>
    tidy(() => backend.view(operation(fromArray(backend, values)).storage).slice());

  it('gives the bits of the formulas for random bit patterns', () => {
    const random = randomStream(5);
    const patterns = Uint32Array.from({ length: 20_003 }, () => Math.floor(random() * 2 ** 32));
    const values = new Float32Array(patterns.buffer);
    for (const [operation, formula] of [
      [exp, exp32],
      [log, log32],
      [sqrt, Math.sqrt],
      [tanh, tanh32],
      [sigmoid, sigmoid32],
      [softplus, softplus32],
      [normalCdf, normalCdf32],
      [geluSlope, geluSlope32],
    ] as const) {
      const computed = on(operation, values);
      // Engines may return different NaN bit patterns.
      const wrong = values.findIndex((value, index) => !Object.is(computed[index], Math.fround(formula(value))));
      expect(wrong, `${operation.name}(${values[wrong]})`).toBe(-1);
    }
  });

  it('gives the bits of pow for random bit patterns and for every pair of special values', () => {
    const random = randomStream(6);
    const special = [0, -0, 1, -1, 2, -3, 0.5, -2.5, 1e-45, 3e38, -3e38, Infinity, -Infinity, Number.NaN, 1e7 + 1];
    const patterns = Uint32Array.from({ length: 8_001 }, () => Math.floor(random() * 2 ** 32));
    const drawn = [...new Float32Array(patterns.buffer)];
    const bases = Float32Array.from([...special.flatMap((x) => special.map(() => x)), ...drawn.map(Math.abs)]);
    const exponents = Float32Array.from([
      ...special.flatMap(() => special),
      ...drawn.map(() => (2 * random() - 1) * 3),
    ]);
    const computed = tidy(() => {
      const power = pow(fromArray(backend, bases), fromArray(backend, exponents));
      return backend.view(power.storage).slice();
    });
    const wrong = bases.findIndex((x, index) => !Object.is(computed[index], pow32(x, exponents[index]!)));
    expect(wrong, `pow(${bases[wrong]}, ${exponents[wrong]})`).toBe(-1);
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

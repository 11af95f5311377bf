/** The cpu backend with relaxed SIMD: fused if the engine fuses, close to the reference, the same for every row. */
import { setFlagsFromString } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { createReferenceBackend } from '../src/backends/reference/backend.ts';
import { conv2d, fromArray, type HostBackend, matmul, openBackend, type Tensor, tidy } from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { bitsOf, randomValues } from './support.ts';

// Node 20 has relaxed SIMD behind this flag; later versions no longer know it.
setFlagsFromString('--experimental-wasm-relaxed-simd');

const { backend } = await openBackend('cpu-relaxed');
const reference = createReferenceBackend();
const fuses = backend.numericMode === 'f32-fma.v1';

function on(
  where: HostBackend,
  operation: (left: Tensor, right: Tensor) => Tensor,
  ...operands: readonly (readonly [Float32Array, readonly number[]])[]
): Float32Array {
  return tidy(() => {
    const [left, right] = operands.map(([values, shape]) => fromArray(where, values, shape));
    return where.view(operation(left!, right!).storage).slice();
  });
}

function expectNear(got: Float32Array, expected: Float32Array): void {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  expected.forEach((value, index) => {
    expect(Math.abs(got[index]! - value)).toBeLessThanOrEqual(2e-6 * scale);
  });
}

const { fround } = Math;

describe('cpu-relaxed', () => {
  it('names its arithmetic by what the engine does', () => {
    expect(['f32-fma.v1', 'f32-mul-add.v1']).toContain(backend.numericMode);
    expect(backend.name).toBe('cpu-relaxed');
    const [a, sum] = [1 + 2 ** -12, -(1 + 2 ** -11)];
    const product = on(backend, matmul, [Float32Array.of(sum, a), [1, 2]], [Float32Array.of(1, a), [2, 1]]);
    expect(product[0]).toBe(fuses ? 2 ** -24 : 0);
  });

  it.each([
    [64, 784, 128, 1],
    [64, 784, 128, 0.19],
    [7, 393, 11, 1],
    [40, 60, 19, 0.1],
  ])('is near the reference: %i x %i x %i of density %f', (m, k, n, density) => {
    const left = [randomValues(m * k, 1, density), [m, k]] as const;
    const right = [randomValues(k * n, 2), [k, n]] as const;
    expectNear(on(backend, matmul, left, right), on(reference, matmul, left, right));
  });

  it('has the bits of chains of fused steps', () => {
    const [m, k, n] = [9, 50, 21];
    const [left, right] = [randomValues(m * k, 3), randomValues(k * n, 4)];
    const expected = new Float32Array(m * n);
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let inner = 0; inner < k; inner++) {
          const product = left[row * k + inner]! * right[inner * n + column]!;
          // The product is exact in float64. The sum is rounded twice, which almost always equals one rounding.
          sum = fround(fuses ? sum + product : sum + fround(product));
        }
        expected[row * n + column] = sum;
      }
    }
    expect(bitsOf(on(backend, matmul, [left, [m, k]], [right, [k, n]]))).toEqual(bitsOf(expected));
  });

  it('gives a row the same bits whatever the others are, whether zeros are skipped or not', () => {
    for (const n of [16, 19, 35]) {
      const [m, k] = [64, 60];
      const sparse = randomValues(m * k, 5, 0.1);
      const dense = randomValues(m * k, 6);
      dense.set(sparse.subarray(0, 2 * k));
      const right = [randomValues(k * n, 7), [k, n]] as const;
      const skipping = on(backend, matmul, [sparse, [m, k]], right);
      const whole = on(backend, matmul, [dense, [m, k]], right);
      expect(bitsOf(skipping.subarray(0, 2 * n))).toEqual(bitsOf(whole.subarray(0, 2 * n)));
    }
  });

  it('convolves', () => {
    const [images, kernel] = [
      [3, 8, 7, 5],
      [3, 3, 5, 10],
    ];
    const operands = [
      [randomValues(sizeOf(images!), 8), images!],
      [randomValues(sizeOf(kernel!), 9), kernel!],
    ] as const;
    const convolve = (x: Tensor, w: Tensor): Tensor => conv2d(x, w, { padding: 1 });
    expectNear(on(backend, convolve, ...operands), on(reference, convolve, ...operands));
  });
});

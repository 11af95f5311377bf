/** Lengths and angles of vectors, softmax and cross-entropy, far beyond ordinary values. */
import { describe, expect, it } from 'vitest';
import * as tensor from '../src/index.ts';
import { openAll, randomValues } from './support.ts';

const backends = await openAll();

describe.each(backends)('$name', (backend) => {
  const rows = 6;
  const vectorsOf = (exponent: number, seed: number): tensor.Tensor => {
    const values = randomValues(rows * 5, seed).map((value) => value * 10 ** exponent);
    return tensor.fromArray(backend, values, [rows, 5]);
  };
  const read = (x: tensor.Tensor): number[] => [...backend.view(x.storage)];
  const rowsOf = (x: tensor.Tensor): number[][] =>
    Array.from({ length: rows }, (_, row) => read(x).slice(5 * row, 5 * row + 5));

  it.each([-43, -38, -30, -21, -15, 0, 12, 15, 19, 30, 37])(
    'vectors around 1e%i have a length, a direction and an angle',
    (exponent) => {
      tensor.tidy(() => {
        const [x, y] = [vectorsOf(exponent, 1), vectorsOf(0, 2)];
        const lengths = tensor.norm(x, { axes: [1] });
        const { gradients } = tensor.valueAndGrad((leaf) => tensor.sum(tensor.norm(leaf!, { axes: [1] })), [x]);
        const cosines = tensor.cosineSimilarity(x, y, { epsilon: 0 });
        const angleGradient = tensor.valueAndGrad(
          (leaf) => tensor.sum(tensor.cosineSimilarity(leaf!, y, { epsilon: 0 })),
          [x],
        ).gradients[0]!;
        for (let row = 0; row < rows; row++) {
          const [u, v] = [rowsOf(x)[row]!, rowsOf(y)[row]!];
          const [length, other] = [Math.hypot(...u), Math.hypot(...v)];
          const cosine = u.reduce((total, value, at) => total + value * v[at]!, 0) / (length * other);
          // Subnormals have fewer significant bits.
          const relative = Math.max(1e-6, (4 * 2 ** -149) / length);
          expect(Math.abs(read(lengths)[row]! - length)).toBeLessThanOrEqual(relative * length);
          expect(Math.abs(read(cosines)[row]! - cosine)).toBeLessThanOrEqual(2 * relative);
          u.forEach((value, at) => {
            expect(Math.abs(rowsOf(gradients[0]!)[row]![at]! - value / length)).toBeLessThanOrEqual(2 * relative);
            const slope = (v[at]! / other - (cosine * value) / length) / length;
            // Nothing to compare if the derivative itself overflows float32 or is subnormal.
            if (exponent < -37 || exponent > 30) return;
            expect(Math.abs(rowsOf(angleGradient)[row]![at]! - slope)).toBeLessThanOrEqual(4e-6 / length);
          });
        }
      });
    },
  );

  it('leaves the bits of ordinary vectors alone', () => {
    tensor.tidy(() => {
      const x = vectorsOf(0, 3);
      expect(read(tensor.norm(x))).toEqual(read(tensor.sqrt(tensor.sum(tensor.mul(x, x)))));
    });
  });

  const softmaxOf = (...values: number[]): number[] =>
    read(tensor.softmax(tensor.fromArray(backend, values, [1, values.length])));
  const lossAt = (scores: readonly number[], label: number) => {
    const labels = tensor.fromArray(backend, [label]);
    const leaf = tensor.fromArray(backend, scores, [1, scores.length]);
    const { value, gradients } = tensor.valueAndGrad((x) => tensor.sum(tensor.softmaxCrossEntropy(x!, labels)), [leaf]);
    return { loss: read(value)[0]!, gradient: read(gradients[0]!) };
  };

  it.each([1e4, -1e4])('softmax does not overflow at logits around %s', (shift) => {
    const expected = softmaxOf(3, 2, 1);
    for (const [index, value] of softmaxOf(3 + shift, 2 + shift, 1 + shift).entries()) {
      expect(value).toBeCloseTo(expected[index]!, 6);
    }
    expect(softmaxOf(1e4, -1e4, 0)).toEqual([1, 0, 0]);
  });

  it('cross-entropy is 0 if the scores are sure and right, and as large as they are if sure and wrong', () => {
    expect(lossAt([1e4, 0, 0], 0).loss).toBe(0);
    expect(lossAt([1e4, 0, 0], 1).loss).toBe(1e4);
  });

  it('cross-entropy has a finite loss and gradient at scores of 1e4', () => {
    const { loss, gradient } = lossAt([1e4, 9999, -1e4], 1);
    expect(loss).toBeCloseTo(Math.log(1 + Math.E), 4);
    expect(gradient.every(Number.isFinite)).toBe(true);
    expect(gradient.reduce((total, value) => total + value, 0)).toBeCloseTo(0, 6);
  });
});

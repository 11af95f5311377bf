/** Calls on rows: which values a row depends on. */
import { describe, expect, it } from 'vitest';
import { fromArray, type HostBackend, layerNorm, softmax, type Tensor, tidy } from '../src/index.ts';
import { bitsOf, openAll, randomValues } from './support.ts';

const backends = await openAll();

const valuesOf = (backend: HostBackend, compute: () => Tensor): Float32Array =>
  tidy(() => backend.view(compute().storage).slice());

describe.each(backends)('on $name', (backend) => {
  it('a causal row has the bits of its visible columns alone, whatever is in the others', () => {
    for (const columns of [1, 5, 16, 37, 64]) {
      const scores = randomValues(columns * columns, columns);
      const seen = (row: number): Float32Array => scores.subarray(row * columns, row * columns + row + 1);
      const masked = scores.map((value, index) => (index % columns > index / columns ? Number.NaN : value));
      const whole = valuesOf(backend, () =>
        softmax(fromArray(backend, masked, [columns, columns]), { causal: true, temperature: 3 }),
      );
      const rows = Array.from({ length: columns }, (_, row) => {
        const alone = valuesOf(backend, () => softmax(fromArray(backend, seen(row)), { temperature: 3 }));
        return [...bitsOf(alone), ...new Uint32Array(columns - row - 1)];
      });
      expect(bitsOf(whole)).toEqual(Uint32Array.from(rows.flat()));
    }
  });
});

it('rows do not depend on the other rows', () => {
  for (const backend of backends) {
    const values = randomValues(7 * 33, 5);
    const of = (start: number, rows: number): Float32Array =>
      valuesOf(backend, () =>
        layerNorm(fromArray(backend, values.subarray(start * 33, (start + rows) * 33), [rows, 33])),
      );
    expect(bitsOf(of(0, 7).subarray(3 * 33, 4 * 33))).toEqual(bitsOf(of(3, 1)));
  }
});

/** Calls on rows: which values a row depends on, and that their lowering has the bits of the kernels. */
import { describe, expect, it } from 'vitest';
import type { KernelCall, Storage } from '../src/backend.ts';
import { loweredRows } from '../src/backends/lowered-rows.ts';
import { fromArray, layerNorm, softmax, tidy } from '../src/index.ts';
import { bitsOf, openAll, randomValues } from './support.ts';

const backends = await openAll();

describe.each(backends)('on $name', (backend) => {
  it('a causal row has the bits of its visible columns alone, whatever is in the others', () => {
    for (const columns of [1, 5, 16, 37, 64]) {
      const scores = randomValues(columns * columns, columns);
      const seen = (row: number): Float32Array => scores.subarray(row * columns, row * columns + row + 1);
      const masked = scores.map((value, index) => (index % columns > index / columns ? Number.NaN : value));
      const whole = tidy(() =>
        backend
          .view(softmax(fromArray(backend, masked, [columns, columns]), { causal: true, temperature: 3 }).storage)
          .slice(),
      );
      const rows = Array.from({ length: columns }, (_, row) => {
        const alone = tidy(() =>
          backend.view(softmax(fromArray(backend, seen(row)), { temperature: 3 }).storage).slice(),
        );
        return [...bitsOf(alone), ...new Uint32Array(columns - row - 1)];
      });
      expect(bitsOf(whole)).toEqual(Uint32Array.from(rows.flat()));
    }
  });

  it('calls have the bits of the maps and sums that replace them', () => {
    const [rows, columns, size] = [6, 21, 126];
    const filled = (length: number, seed: number): Storage => {
      const storage = backend.allocate(length);
      backend.upload(storage, randomValues(length, seed));
      return storage;
    };
    const [input, gradient, output] = [filled(size, 1), filled(size, 2), backend.allocate(size)];
    const inverseDeviations = filled(rows, 3);
    const sizes = { rows, columns, output };
    const calls: KernelCall[] = [
      { kind: 'softmax', ...sizes, temperature: 0.3, input },
      { kind: 'softmax', ...sizes, temperature: 1, period: 3, input },
      { kind: 'softmaxGradient', ...sizes, temperature: 0.3, gradient, probabilities: input },
      { kind: 'softmaxGradient', ...sizes, temperature: 1, period: 6, gradient, probabilities: input },
      { kind: 'layerNorm', ...sizes, epsilon: 0.01, input, inverseDeviations },
      { kind: 'layerNormGradient', ...sizes, gradient, normalized: input, inverseDeviations },
    ];
    for (const call of calls) {
      const results = [
        [call],
        loweredRows(call, (length, values) => {
          const storage = backend.allocate(length);
          if (values) backend.upload(storage, values);
          return storage;
        }),
      ].map((prepared) => {
        backend.upload(output, new Float32Array(size).fill(7));
        backend.prepare(prepared).run();
        return [...bitsOf(backend.view(output)), ...bitsOf(backend.view(inverseDeviations))];
      });
      expect(results[0], call.kind).toEqual(results[1]);
    }
  });
});

it('rows do not depend on the other rows', () => {
  for (const backend of backends) {
    const values = randomValues(7 * 33, 5);
    const of = (start: number, rows: number): Float32Array =>
      tidy(() =>
        backend
          .view(layerNorm(fromArray(backend, values.subarray(start * 33, (start + rows) * 33), [rows, 33])).storage)
          .slice(),
      );
    expect(bitsOf(of(0, 7).subarray(3 * 33, 4 * 33))).toEqual(bitsOf(of(3, 1)));
  }
});

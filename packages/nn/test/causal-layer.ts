/** A layer with constants in its forward pass, in the table of layers until a file's tests have run. */
import { add, arange, exp, fromArray, matmul, mul, reshape, sum, type Tensor } from '@lockstep/tensor';
import { afterAll } from 'vitest';
import { layers, type Model } from '../src/index.ts';

/**
 * Mixes positions [n, positions, features] by their products, plus a causal mask, and scales them by constants that
 * ops compute.
 */
function forward(_: unknown, x: Tensor): Tensor {
  const positions = x.shape[1]!;
  const mask = Float32Array.from({ length: positions ** 2 }, (_, at) => (at % positions > at / positions ? -8 : 0));
  const weights = exp(add(matmul(x, x, { transposeRight: true }), fromArray(x.backend, mask, [positions, positions])));
  const shares = reshape(mul(arange(x.backend, positions + 1, { start: 1 }), 0.25), [positions, 1]);
  return mul(matmul(mul(weights, 1 / positions), x), add(shares, sum(shares)));
}

export function useCausalLayer(): void {
  Object.assign(layers, { causal: { schema: layers.relu.schema, forward } });
  afterAll(() => void Reflect.deleteProperty(layers, 'causal'));
}

export const causalModel = {
  name: 'causal',
  input: [4, 3],
  layers: [
    { type: 'dense', units: 2 },
    { type: 'causal' },
    { type: 'flatten' },
    { type: 'dense', units: 3 },
  ] as unknown as Model['layers'],
} satisfies Model;

/** What the suites share: opened backends, seeded values, and comparison to the bit. */
import type { HostBackend, Shape, Tensor } from '../src/index.ts';
import { backendNames, fromArray, openBackend } from '../src/index.ts';
import type { Domain } from '../src/ops/define.ts';
import { sizeOf } from '../src/shape.ts';

export async function openAll(): Promise<HostBackend[]> {
  return Promise.all(backendNames.map(async (name) => (await openBackend(name)).backend));
}

/** A seeded stream of numbers in [0, 1) (mulberry32). */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Values in [-1, 1), of which about `density` are not zero. */
export function randomValues(count: number, seed: number, density = 1): Float32Array {
  const random = randomStream(seed);
  return Float32Array.from({ length: count }, () => (random() < density ? 2 * random() - 1 : 0));
}

/** Values of a shape inside a domain; class indices are below `classes`. */
export function valuesIn(domain: Domain, shape: Shape, seed: number, classes: number): Float32Array {
  const random = randomStream(seed);
  const draw = {
    any: () => 2 * random() - 1,
    positive: () => 0.2 + 2 * random(),
    'away from zero': () => (random() < 0.5 ? -1 : 1) * (0.3 + random()),
    'class index': () => Math.floor(random() * classes),
  }[domain];
  return Float32Array.from({ length: sizeOf(shape) }, draw);
}

export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer);
}

export function leaf(backend: HostBackend, values: Float32Array, shape: Shape): Tensor {
  return fromArray(backend, values, shape, { requiresGrad: true });
}

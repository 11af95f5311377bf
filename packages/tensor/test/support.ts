/** Shared by the test files: opened backends, seeded values, and bitwise comparison. */
import type { HostBackend, Shape, Tensor } from '../src/index.ts';
import { fromArray, openBackend } from '../src/index.ts';

export { randomStream } from '../src/index.ts';
export { randomValues, valuesIn } from './values.ts';

export async function openAll(): Promise<HostBackend[]> {
  return Promise.all((['cpu', 'reference'] as const).map(async (name) => (await openBackend(name)).backend));
}

export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer);
}

export function leaf(backend: HostBackend, values: Float32Array, shape: Shape): Tensor {
  return fromArray(backend, values, shape, { requiresGrad: true });
}

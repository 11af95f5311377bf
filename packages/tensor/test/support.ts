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

/** The oracle: adds neighbors in pairs, then their sums in pairs; a term without a neighbor passes unchanged. */
export function foldInPairs<Term>(terms: readonly Term[], sum: (left: Term, right: Term) => Term): Term {
  if (terms.length === 1) return terms[0]!;
  const pairs = Array.from({ length: Math.ceil(terms.length / 2) }, (_, pair) => {
    const [left, right] = terms.slice(2 * pair, 2 * pair + 2) as [Term, Term?];
    return right === undefined ? left : sum(left, right);
  });
  return foldInPairs(pairs, sum);
}

export function addedInPairs(vectors: readonly Float32Array[]): Float32Array {
  return foldInPairs(vectors, (left, right) => left.map((value, index) => value + right[index]!));
}

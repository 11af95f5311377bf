/** Shared by the test files: opened backends, seeded values, and bitwise comparison. */
import { setVectorBits } from '../src/backends/cpu/memory.ts';
import { type HostBackend, openBackend } from '../src/index.ts';

export { randomStream } from '../src/index.ts';
export { randomValues, valuesIn } from './values.ts';

/** Opens all host backends; `cpu` twice, with the tiles for vectors of 128 bits and of 256. */
export async function openAll(): Promise<HostBackend[]> {
  const open = async (name: 'cpu' | 'reference'): Promise<HostBackend> => (await openBackend(name)).backend;
  const backends = [await open('cpu'), await open('reference')];
  setVectorBits(256);
  const wide = await open('cpu');
  setVectorBits(128);
  return [...backends, wide];
}

export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer);
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

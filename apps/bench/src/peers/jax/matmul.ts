/** A matrix product on jax-js. */
import type { Absent, Implementation } from '../../harness/candidate.ts';
import type { Product } from '../../workloads/product.ts';
import { packageVersion } from '../version.ts';
import { loadJax } from './load.ts';

export async function openJaxMatmul(work: Product): Promise<Implementation | Absent> {
  const jax = await loadJax();
  if ('absent' in jax) return jax;
  const { blockUntilReady, jit, numpy } = jax;
  const left = numpy.array(work.left.slice()).reshape([work.m, work.k]);
  const right = numpy.array(work.right.slice()).reshape([work.k, work.n]);
  const product = jit(numpy.matmul);
  let output = product(left.ref, right.ref);
  return {
    version: await packageVersion('@jax-js/jax'),
    notes: ['wasm, 1 thread', 'numpy.matmul in a jit, of arrays that lie ready'],
    async run(steps) {
      const startedMs = performance.now();
      for (let step = 0; step < steps; step++) {
        output.dispose();
        output = product(left.ref, right.ref);
        // jax-js is lazy: an output disposed of before it is awaited is never computed.
        await blockUntilReady(output);
      }
      return performance.now() - startedMs;
    },
    result: async () => Float32Array.from(await output.ref.data()),
    async close() {
      for (const array of [left, right, output]) array.dispose();
      product.dispose();
    },
  };
}

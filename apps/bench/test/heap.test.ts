/** The definition of flat memory. */
import { expect, test } from 'vitest';
import { growthFact } from '../src/benchmarks/heap.ts';

const before = { heap: 8_000_000, outside: 1_000_000, wasm: 2 ** 22 };

test('an object left behind at every step is seen, the noise of a collection is not', () => {
  expect(growthFact(before, { ...before, heap: before.heap + 20_000 }, 10_000).holds).toBe(true);
  expect(growthFact(before, { ...before, heap: before.heap - 20_000 }, 10_000).holds).toBe(true);
  expect(growthFact(before, { ...before, heap: before.heap + 12 * 10_000 }, 10_000).holds).toBe(false);
  expect(growthFact(before, { ...before, outside: before.outside + 64 * 10_000 }, 10_000).holds).toBe(false);
});

test('WebAssembly may not grow by a single page, and the figures say what grew', () => {
  const fact = growthFact(before, { ...before, wasm: before.wasm + 65_536 }, 10_000);
  expect(fact.holds).toBe(false);
  expect(fact.figures).toMatchObject({ steps: 10_000, heapGrowthBytes: 0, wasmGrowthBytes: 65_536 });
  expect(fact.message).toContain('WebAssembly 4,194,304 and +65,536');
});

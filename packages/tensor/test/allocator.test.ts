import { expect, it } from 'vitest';
import { Allocator, pageBytes, type WasmMemory } from '../src/backends/cpu/memory.ts';

/** Returns a memory that can grow up to `maximum` pages. */
function memoryOf(maximum: number): WasmMemory {
  let buffer = new ArrayBuffer(pageBytes);
  return {
    get buffer() {
      return buffer;
    },
    grow(pages: number) {
      const before = buffer.byteLength / pageBytes;
      if (before + pages > maximum) throw new RangeError('refused');
      buffer = new ArrayBuffer((before + pages) * pageBytes);
      return before;
    },
  } as WasmMemory;
}

it('gives out a memory to its last page: what is free at the end counts', () => {
  const allocator = new Allocator(memoryOf(4), 0);
  const first = allocator.allocate(1.5 * pageBytes);
  const second = allocator.allocate(2.25 * pageBytes);
  expect(second).toBe(first + 1.5 * pageBytes);
  expect(() => allocator.allocate(pageBytes)).toThrow(
    new RangeError('cpu: expected 1 MB more memory than 1 MB, the engine refused'),
  );
  allocator.release(first);
  expect(allocator.allocate(pageBytes)).toBe(first);
});

it('gives no byte twice, whatever is given back', () => {
  const allocator = new Allocator(memoryOf(64), 100);
  const given = new Map<number, number>();
  for (let round = 0; round < 300; round++) {
    const size = 64 * (1 + ((round * 7919) % 2000));
    const start = allocator.allocate(size);
    for (const [other, otherSize] of given) expect(start + size <= other || other + otherSize <= start).toBe(true);
    given.set(start, size);
    const oldest = [...given.keys()][0]!;
    if (given.size < 12 && round % 5 !== 0) continue;
    allocator.release(oldest);
    given.delete(oldest);
  }
});

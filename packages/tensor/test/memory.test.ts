/** Memory: plans free what they allocated, also after failures, and the allocator gives no byte twice. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelCall, Storage } from '../src/backend.ts';
import { Allocator, pageBytes, type WasmMemory } from '../src/backends/cpu/memory.ts';
import { layOut } from '../src/compile.ts';
import { compile, constant, fromArray, matmul, mul, openBackend, relu, sum, tidy, valueAndGrad } from '../src/index.ts';
import { randomValues } from './support.ts';

const { backend: cpu } = await openBackend('cpu');

describe('memory of cpu', () => {
  it('neither moves nor grows over many runs and over many plans', () => {
    const probe = cpu.allocate(1);
    const make = (): void => {
      const plan = compile(cpu, (x, w) => valueAndGrad((v) => sum(relu(matmul(x!, v!))), [w!]).gradients[0]!, [
        [64, 300],
        [300, 50],
      ]);
      for (let run = 0; run < 20; run++) plan.run();
      plan.dispose();
    };
    make();
    const { buffer } = cpu.view(probe);
    const before = buffer.byteLength;
    for (let round = 0; round < 50; round++) {
      make();
      tidy(() => {
        const x = fromArray(cpu, randomValues(64 * 300, round), [64, 300], { requiresGrad: true });
        sum(mul(x, x)).backward();
      });
    }
    expect(cpu.view(probe).buffer).toBe(buffer);
    expect(cpu.view(probe).buffer.byteLength).toBe(before);
    cpu.free(probe);
  });
});

it('a function that throws leaves no memory taken', async () => {
  const { backend } = await openBackend('cpu');
  const fail = (): never => {
    throw new Error('stop');
  };
  const first = backend.allocate(1);
  const { buffer } = backend.view(first);
  // If they leaked, the memory would have to grow.
  for (let round = 0; round < 50; round++) {
    expect(() => compile(backend, fail, [[100_000]])).toThrow('stop');
  }
  expect(backend.view(first).buffer).toBe(buffer);
});

it('values that are no longer read leave one gap, in whatever order they are read last', () => {
  const line = 16;
  const map = (inputs: readonly Storage[], output: Storage): KernelCall => ({
    kind: 'map',
    formula: constant(0),
    shape: [output.length],
    inputs: inputs.map((storage) => ({ storage, strides: [0] })),
    output,
  });
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (order) => {
      const values = order.map((index) => ({ length: (1 + index) * line }));
      const result: Storage = { length: 1 };
      const large: Storage = { length: 10 * line };
      const calls = [
        ...values.map((value) => map([], value)),
        map(
          order.map((index) => values[index]!),
          result,
        ),
        map([], large),
        map([large], result),
      ];
      expect(layOut(calls, new Set([result])).length).toBe(large.length);
    }),
  );
});

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
    new RangeError('cpu: WebAssembly memory could not grow from 1 MB by 1 MB'),
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

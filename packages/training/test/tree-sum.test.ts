import type { Backend, HostBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { xorshift32 } from '../src/random.ts';
import { halvesOf, type Shard } from '../src/tree.ts';
import { TreeSum } from '../src/tree-sum.ts';
import { hostBackend } from './support.ts';

const width = 5;

/** One microbatch's vector: values of very different size and sign, and zeros of both signs, so that order shows in the bits. */
function microbatchVectors(seed: number, count: number): Float32Array[] {
  const random = xorshift32(seed);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: width }, () => {
      const value = random();
      if (value % 5 === 0) return value % 2 === 0 ? 0 : -0;
      return (value % 2 === 0 ? 1 : -1) * (value / 2 ** 32) * 10 ** ((random() % 9) - 4);
    }),
  );
}

/** The sum over a shard by the tree's definition: left half plus right half, where the right half holds a sample. */
function definition(microbatches: readonly Float32Array[], { lo, n }: Shard): Float32Array {
  if (n === 1) return microbatches[lo]!;
  const [left, right] = halvesOf({ lo, n });
  const leftSum = definition(microbatches, left);
  if (right.lo >= microbatches.length) return leftSum;
  const rightSum = definition(microbatches, right);
  return leftSum.map((value, index) => value + rightSum[index]!);
}

/** Cuts `root` at random into shards that hold a sample, in a random order. */
function cutting(seed: number, root: Shard, used: number): Shard[] {
  const random = xorshift32(seed);
  const cut = (shard: Shard): Shard[] => {
    if (shard.lo >= used) return [];
    if (shard.n === 1 || random() % 3 === 0) return [shard];
    return halvesOf(shard).flatMap(cut);
  };
  const shards = cut(root);
  for (let last = shards.length - 1; last > 0; last--) {
    const other = random() % (last + 1);
    [shards[last], shards[other]] = [shards[other]!, shards[last]!];
  }
  return shards;
}

const sumCase = fc.record({
  depth: fc.integer({ min: 0, max: 6 }),
  emptiness: fc.double({ min: 0, max: 1, noNaN: true }),
  seed: fc.nat(),
  external: fc.boolean(),
});

/** `used` microbatches of `2^depth`, at least one. */
const usedOf = (depth: number, emptiness: number): number => 2 ** depth - Math.floor(emptiness * (2 ** depth - 1));

const bits = (values: Float32Array): number[] => [...new Uint32Array(values.slice().buffer)];

describe.each(['reference', 'cpu'] as const)('a tree sum on %s', (name) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await hostBackend(name);
  });

  it('has the bits of the recursive definition, whatever the cutting, the order, and who owns the vectors', () => {
    fc.assert(
      fc.property(sumCase, ({ depth, emptiness, seed, external }) => {
        const root = { lo: 0, n: 2 ** depth };
        const used = usedOf(depth, emptiness);
        const microbatches = microbatchVectors(seed, used);
        const total = backend.allocate(width);
        const own = backend.allocate(width);
        const sum = new TreeSum(backend, total);
        sum.begin(root, used);
        const shards = cutting(seed + 1, root, used);
        for (const [index, shard] of shards.entries()) {
          expect(sum.complete).toBe(false);
          const vector = external && index % 2 === 0 ? own : sum.free;
          backend.upload(vector, definition(microbatches, shard));
          sum.add(shard, vector);
          // A vector of the caller's own is not kept: what it holds afterwards changes nothing.
          backend.upload(own, new Float32Array(width).fill(Number.NaN));
        }
        expect(sum.complete).toBe(true);
        expect(bits(backend.view(total))).toEqual(bits(definition(microbatches, root)));
        sum.dispose();
        backend.free(own);
        backend.free(total);
      }),
      { numRuns: 150 },
    );
  });

  it('sums the microbatches of a shard that does not begin at 0', () => {
    const microbatches = microbatchVectors(3, 8);
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    sum.begin({ lo: 4, n: 4 }, 8);
    for (const microbatch of [6, 4, 7, 5]) {
      backend.upload(sum.free, microbatches[microbatch]!);
      sum.add({ lo: microbatch, n: 1 }, sum.free);
    }
    expect(sum.complete).toBe(true);
    expect(bits(backend.view(total))).toEqual(bits(definition(microbatches, { lo: 4, n: 4 })));
    sum.dispose();
    backend.free(total);
  });

  it('leaves no mark of an empty microbatch: a lone -0 stays -0', () => {
    const total = backend.allocate(1);
    const sum = new TreeSum(backend, total);
    sum.begin({ lo: 0, n: 8 }, 1);
    backend.upload(sum.free, Float32Array.of(-0));
    sum.add({ lo: 0, n: 1 }, sum.free);
    expect(sum.complete).toBe(true);
    expect(backend.view(total)[0]).toBe(-0);
    sum.dispose();
    backend.free(total);
  });

  it('drops an unfinished sum at begin, wherever it was', () => {
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    fc.assert(
      fc.property(sumCase, fc.nat(), ({ depth, emptiness, seed }, stop) => {
        const root = { lo: 0, n: 2 ** depth };
        const used = usedOf(depth, emptiness);
        const abandoned = cutting(seed + 2, root, used);
        sum.begin(root, used);
        for (const shard of abandoned.slice(0, stop % abandoned.length)) {
          backend.upload(sum.free, new Float32Array(width).fill(1e9));
          sum.add(shard, sum.free);
        }
        const microbatches = microbatchVectors(seed, used);
        sum.begin(root, used);
        expect(sum.complete).toBe(false);
        for (const shard of cutting(seed + 1, root, used)) {
          backend.upload(sum.free, definition(microbatches, shard));
          sum.add(shard, sum.free);
        }
        expect(sum.complete).toBe(true);
        expect(bits(backend.view(total))).toEqual(bits(definition(microbatches, root)));
      }),
      { numRuns: 100 },
    );
    sum.dispose();
    backend.free(total);
  });
});

/** A backend that knows what it has given out and not got back. */
function counted(backend: Backend): { backend: Backend; storages: () => number; programs: () => number } {
  let storages = 0;
  let programs = 0;
  return {
    storages: () => storages,
    programs: () => programs,
    backend: {
      name: backend.name,
      numericMode: backend.numericMode,
      allocate(length) {
        storages += 1;
        return backend.allocate(length);
      },
      free(storage) {
        storages -= 1;
        backend.free(storage);
      },
      prepare(calls) {
        programs += 1;
        const program = backend.prepare(calls);
        return {
          run: () => program.run(),
          dispose() {
            programs -= 1;
            program.dispose();
          },
        };
      },
      slice: (storage, offset, length) => backend.slice(storage, offset, length),
      upload: (storage, values) => backend.upload(storage, values),
      uploadBytes: (storage, bytes, divisor) => backend.uploadBytes(storage, bytes, divisor),
      download: (storage) => backend.download(storage),
    },
  };
}

describe('the memory of a tree sum', () => {
  it('stays within half the microbatches and a vector more, over thousands of sums in any order', async () => {
    const counts = counted(await hostBackend());
    const { backend, storages, programs } = counts;
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    const root = { lo: 0, n: 16 };
    const vector = new Float32Array(width);
    for (let seed = 0; seed < 4_000; seed++) {
      sum.begin(root, 16);
      for (const shard of cutting(seed, root, 16)) {
        backend.upload(sum.free, vector);
        sum.add(shard, sum.free);
      }
    }
    const slots = storages() - 1;
    expect(slots).toBeLessThanOrEqual(9);
    // Each two slots, either way round, added into one of them or the total; and each slot moved to the total.
    expect(programs()).toBeLessThanOrEqual(slots * (slots - 1) * 3 + slots);
    sum.dispose();
    backend.free(total);
    expect([storages(), programs()]).toEqual([0, 0]);
  });

  it('is two vectors where microbatches come from left to right, as in a worker', async () => {
    const { backend, storages } = counted(await hostBackend());
    const total = backend.allocate(width);
    const own = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    const before = storages();
    for (let round = 0; round < 50; round++) {
      sum.begin({ lo: 0, n: 4 }, 4);
      for (let microbatch = 0; microbatch < 4; microbatch++) sum.add({ lo: microbatch, n: 1 }, own);
    }
    expect(storages() - before).toBeLessThanOrEqual(2);
    sum.dispose();
  });

  it('hands out the same free vector until one is added', async () => {
    const backend = await hostBackend();
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    sum.begin({ lo: 0, n: 2 }, 2);
    const first = sum.free;
    expect(sum.free).toBe(first);
    sum.add({ lo: 0, n: 1 }, first);
    expect(sum.free).not.toBe(first);
    sum.dispose();
  });
});

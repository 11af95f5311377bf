import type { Backend, HostBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { xorshift32 } from '../src/random.ts';
import { type Block, halvesOf } from '../src/tree.ts';
import { createTreeSum } from '../src/tree-sum.ts';
import { hostBackend } from './support.ts';

const width = 5;

/** One leaf's vector: values of very different size and sign, and zeros of both signs, so that order shows in the bits. */
function leafVectors(seed: number, count: number): Float32Array[] {
  const random = xorshift32(seed);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: width }, () => {
      const value = random();
      if (value % 5 === 0) return value % 2 === 0 ? 0 : -0;
      return (value % 2 === 0 ? 1 : -1) * (value / 2 ** 32) * 10 ** ((random() % 9) - 4);
    }),
  );
}

/** The sum over a block by the tree's definition: left half plus right half, where the right half holds a sample. */
function definition(leaves: readonly Float32Array[], { lo, n }: Block): Float32Array {
  if (n === 1) return leaves[lo]!;
  const [left, right] = halvesOf({ lo, n });
  const leftSum = definition(leaves, left);
  if (right.lo >= leaves.length) return leftSum;
  const rightSum = definition(leaves, right);
  return leftSum.map((value, index) => value + rightSum[index]!);
}

/** Cuts `root` at random into blocks that hold a sample, in a random order. */
function cutting(seed: number, root: Block, used: number): Block[] {
  const random = xorshift32(seed);
  const cut = (block: Block): Block[] => {
    if (block.lo >= used) return [];
    if (block.n === 1 || random() % 3 === 0) return [block];
    return halvesOf(block).flatMap(cut);
  };
  const blocks = cut(root);
  for (let last = blocks.length - 1; last > 0; last--) {
    const other = random() % (last + 1);
    [blocks[last], blocks[other]] = [blocks[other]!, blocks[last]!];
  }
  return blocks;
}

const room = fc.record({
  depth: fc.integer({ min: 0, max: 6 }),
  emptiness: fc.double({ min: 0, max: 1, noNaN: true }),
  seed: fc.nat(),
  external: fc.boolean(),
});

/** `used` leaves of `2^depth`, at least one. */
const usedOf = (depth: number, emptiness: number): number => 2 ** depth - Math.floor(emptiness * (2 ** depth - 1));

const bits = (values: Float32Array): number[] => [...new Uint32Array(values.slice().buffer)];

describe.each(['reference', 'cpu'] as const)('a tree sum on %s', (name) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await hostBackend(name);
  });

  it('has the bits of the recursive definition, whatever the cutting, the order, and who owns the vectors', () => {
    fc.assert(
      fc.property(room, ({ depth, emptiness, seed, external }) => {
        const root = { lo: 0, n: 2 ** depth };
        const used = usedOf(depth, emptiness);
        const leaves = leafVectors(seed, used);
        const total = backend.allocate(width);
        const own = backend.allocate(width);
        const sum = createTreeSum(backend, total);
        sum.begin(root, used);
        const blocks = cutting(seed + 1, root, used);
        for (const [index, block] of blocks.entries()) {
          expect(sum.complete).toBe(false);
          const vector = external && index % 2 === 0 ? own : sum.free;
          backend.upload(vector, definition(leaves, block));
          sum.put(block, vector);
          // A vector of the caller's own is not kept: what it holds afterwards changes nothing.
          backend.upload(own, new Float32Array(width).fill(Number.NaN));
        }
        expect(sum.complete).toBe(true);
        expect(bits(backend.view(total))).toEqual(bits(definition(leaves, root)));
        sum.dispose();
        backend.free(own);
        backend.free(total);
      }),
      { numRuns: 150 },
    );
  });

  it('sums the leaves of a block that does not begin at 0', () => {
    const leaves = leafVectors(3, 8);
    const total = backend.allocate(width);
    const sum = createTreeSum(backend, total);
    sum.begin({ lo: 4, n: 4 }, 8);
    for (const leaf of [6, 4, 7, 5]) {
      backend.upload(sum.free, leaves[leaf]!);
      sum.put({ lo: leaf, n: 1 }, sum.free);
    }
    expect(sum.complete).toBe(true);
    expect(bits(backend.view(total))).toEqual(bits(definition(leaves, { lo: 4, n: 4 })));
    sum.dispose();
    backend.free(total);
  });

  it('leaves no mark of an empty leaf: a lone -0 stays -0', () => {
    const total = backend.allocate(1);
    const sum = createTreeSum(backend, total);
    sum.begin({ lo: 0, n: 8 }, 1);
    backend.upload(sum.free, Float32Array.of(-0));
    sum.put({ lo: 0, n: 1 }, sum.free);
    expect(sum.complete).toBe(true);
    expect(backend.view(total)[0]).toBe(-0);
    sum.dispose();
    backend.free(total);
  });

  it('drops an unfinished sum at begin, wherever it was', () => {
    const total = backend.allocate(width);
    const sum = createTreeSum(backend, total);
    fc.assert(
      fc.property(room, fc.nat(), ({ depth, emptiness, seed }, stop) => {
        const root = { lo: 0, n: 2 ** depth };
        const used = usedOf(depth, emptiness);
        const abandoned = cutting(seed + 2, root, used);
        sum.begin(root, used);
        for (const block of abandoned.slice(0, stop % abandoned.length)) {
          backend.upload(sum.free, new Float32Array(width).fill(1e9));
          sum.put(block, sum.free);
        }
        const leaves = leafVectors(seed, used);
        sum.begin(root, used);
        expect(sum.complete).toBe(false);
        for (const block of cutting(seed + 1, root, used)) {
          backend.upload(sum.free, definition(leaves, block));
          sum.put(block, sum.free);
        }
        expect(sum.complete).toBe(true);
        expect(bits(backend.view(total))).toEqual(bits(definition(leaves, root)));
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
      arithmetic: backend.arithmetic,
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
  it('stays within half the leaves and a vector more, over thousands of sums in any order', async () => {
    const counts = counted(await hostBackend());
    const { backend, storages, programs } = counts;
    const total = backend.allocate(width);
    const sum = createTreeSum(backend, total);
    const root = { lo: 0, n: 16 };
    const vector = new Float32Array(width);
    for (let seed = 0; seed < 4_000; seed++) {
      sum.begin(root, 16);
      for (const block of cutting(seed, root, 16)) {
        backend.upload(sum.free, vector);
        sum.put(block, sum.free);
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

  it('is two vectors where leaves come from left to right, as in a worker', async () => {
    const { backend, storages } = counted(await hostBackend());
    const total = backend.allocate(width);
    const own = backend.allocate(width);
    const sum = createTreeSum(backend, total);
    const before = storages();
    for (let round = 0; round < 50; round++) {
      sum.begin({ lo: 0, n: 4 }, 4);
      for (let leaf = 0; leaf < 4; leaf++) sum.put({ lo: leaf, n: 1 }, own);
    }
    expect(storages() - before).toBeLessThanOrEqual(2);
    sum.dispose();
  });

  it('hands out the same free vector until one is put', async () => {
    const backend = await hostBackend();
    const total = backend.allocate(width);
    const sum = createTreeSum(backend, total);
    sum.begin({ lo: 0, n: 2 }, 2);
    const first = sum.free;
    expect(sum.free).toBe(first);
    sum.put({ lo: 0, n: 1 }, first);
    expect(sum.free).not.toBe(first);
    sum.dispose();
  });
});

import { type Backend, type HostBackend, randomStream } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { halvesOf, type Shard } from '../src/tree.ts';
import { TreeSum } from '../src/tree-sum.ts';
import { arrivals, treeCase } from './random-shards.ts';
import { hostBackend } from './support.ts';

const width = 5;

/** A vector for each microbatch: magnitudes from 1e-4 to 1e4 and zeros of both signs, so that bits show the order. */
function microbatchVectors(seed: number, count: number): Float32Array[] {
  const random = randomStream(seed);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: width }, () => {
      if (random() < 0.2) return random() < 0.5 ? 0 : -0;
      return (2 * random() - 1) * 10 ** (Math.floor(9 * random()) - 4);
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

const bits = (values: Float32Array): number[] => [...new Uint32Array(values.slice().buffer)];

describe.each(['reference', 'cpu'] as const)('a tree sum on %s', (name) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await hostBackend(name);
  });

  it('has the bits of the recursive definition, whatever the shards, their order, and the owners of the vectors', () => {
    fc.assert(
      fc.property(treeCase, fc.boolean(), (tree, external) => {
        const { root, usedMicrobatches, seed } = tree;
        const microbatches = microbatchVectors(seed + 1, usedMicrobatches);
        const total = backend.allocate(width);
        const own = backend.allocate(width);
        const sum = new TreeSum(backend, total);
        sum.begin(root, usedMicrobatches);
        for (const [index, shard] of arrivals(tree).entries()) {
          expect(sum.complete).toBe(false);
          const vector = external && index % 2 === 0 ? own : sum.free;
          backend.upload(vector, definition(microbatches, shard));
          sum.add(shard, vector);
          // A vector of the caller's own is read before `add` returns, and may be overwritten.
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

  it('adds no zero for an empty microbatch: a lone -0 stays -0', () => {
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

  it('drops an unfinished sum at `begin`, wherever it was', () => {
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    fc.assert(
      fc.property(treeCase, fc.nat(), (tree, stop) => {
        const { root, usedMicrobatches, seed } = tree;
        const abandoned = arrivals({ ...tree, seed: seed + 2 });
        sum.begin(root, usedMicrobatches);
        for (const shard of abandoned.slice(0, stop % abandoned.length)) {
          backend.upload(sum.free, new Float32Array(width).fill(1e9));
          sum.add(shard, sum.free);
        }
        const microbatches = microbatchVectors(seed + 1, usedMicrobatches);
        sum.begin(root, usedMicrobatches);
        expect(sum.complete).toBe(false);
        for (const shard of arrivals(tree)) {
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

/** A backend that counts the storages and programs that it has created and not freed. */
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
  it('stays within one vector more than half the microbatches, over thousands of sums in any order', async () => {
    const counts = counted(await hostBackend());
    const { backend, storages, programs } = counts;
    const total = backend.allocate(width);
    const sum = new TreeSum(backend, total);
    const tree = { root: { lo: 0, n: 16 }, usedMicrobatches: 16 };
    const vector = new Float32Array(width);
    for (let seed = 0; seed < 4_000; seed++) {
      sum.begin(tree.root, tree.usedMicrobatches);
      for (const shard of arrivals({ ...tree, seed })) {
        backend.upload(sum.free, vector);
        sum.add(shard, sum.free);
      }
    }
    const buffers = storages() - 1;
    expect(buffers).toBeLessThanOrEqual(9);
    // Every ordered pair of buffers, added into one of the two or the total, and a copy of each buffer to the total.
    expect(programs()).toBeLessThanOrEqual(buffers * (buffers - 1) * 3 + buffers);
    sum.dispose();
    backend.free(total);
    expect([storages(), programs()]).toEqual([0, 0]);
  });

  it('is two vectors where microbatches arrive from left to right, as in a worker', async () => {
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

  it('holds the same free vector until it is added', async () => {
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

import type { Shard } from '@lockstep/rules';
import { type HostBackend, type Program, randomStream, type Storage } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { TreeSum } from '../src/tree-sum.ts';
import { valueAt } from '../src/vector-memory.ts';
import { addVectors, arrivals, sumOfTree, treeCase } from './random-shards.ts';
import { hostBackend } from './support.ts';

const width = 5;

/** A vector per microbatch, with magnitudes from 1e-4 to 1e4 and zeros of both signs, so that bits show the order. */
function microbatchVectors(seed: number, count: number): Float32Array[] {
  const random = randomStream(seed);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: width }, () => {
      if (random() < 0.2) return random() < 0.5 ? 0 : -0;
      return (2 * random() - 1) * 10 ** (Math.floor(9 * random()) - 4);
    }),
  );
}

const definition = (microbatches: readonly Float32Array[], shard: Shard): Float32Array =>
  sumOfTree(shard, microbatches.length, (microbatch) => microbatches[microbatch]!, addVectors);

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
        const own: Storage[] = [];
        const sum = new TreeSum(backend, width);
        sum.begin(root, usedMicrobatches);
        for (const [index, shard] of arrivals(tree).entries()) {
          expect(sum.complete).toBe(false);
          const isOwn = external && index % 2 === 0;
          if (isOwn) own.push(backend.allocate(width));
          const vector = isOwn ? own.at(-1)! : sum.free;
          backend.upload(vector, definition(microbatches, shard));
          sum.add(shard, vector);
        }
        expect(sum.complete).toBe(true);
        const expected = definition(microbatches, root);
        const ofParts = Float32Array.from({ length: width }, (_, index) => valueAt(backend, sum.result, index));
        expect(ofParts).toEqual(expected);
        const before = own.map((vector) => backend.view(vector).slice());
        expect(backend.view(sum.vector())).toEqual(expected);
        expect(sum.result).toBe(sum.vector());
        expect(own.map((vector) => backend.view(vector))).toEqual(before);
        sum.dispose();
        for (const vector of own) backend.free(vector);
      }),
      { numRuns: 150 },
    );
  });

  it('leaves the last addition to the user of the sum', () => {
    const sum = new TreeSum(backend, width);
    sum.begin({ lo: 0, n: 4 }, 4);
    expect(() => sum.result).toThrow('tree sum: expected every shard, some are missing');
    for (const lo of [0, 1, 2, 3]) sum.add({ lo, n: 1 }, sum.free);
    expect(sum.result).toEqual({ left: expect.anything(), right: expect.anything() });
    sum.dispose();
  });

  it('adds no zero for an empty microbatch: a lone -0 stays -0', () => {
    const sum = new TreeSum(backend, 1);
    sum.begin({ lo: 0, n: 8 }, 1);
    backend.upload(sum.free, Float32Array.of(-0));
    sum.add({ lo: 0, n: 1 }, sum.free);
    expect(backend.view(sum.vector())[0]).toBe(-0);
    sum.dispose();
  });

  it('drops an unfinished sum at `begin`, wherever it was', () => {
    const sum = new TreeSum(backend, width);
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
        expect(backend.view(sum.vector())).toEqual(definition(microbatches, root));
      }),
      { numRuns: 100 },
    );
    sum.dispose();
  });
});

describe('the memory of a tree sum', () => {
  it('stays within one vector more than half the microbatches, over thousands of sums in any order', async () => {
    const backend = await hostBackend();
    const [allocate, free, prepare] = (['allocate', 'free', 'prepare'] as const).map((name) => vi.spyOn(backend, name));
    onTestFinished(() => void vi.restoreAllMocks());
    const storages = (): number => allocate!.mock.calls.length - free!.mock.calls.length;
    const sum = new TreeSum(backend, width);
    const tree = { root: { lo: 0, n: 16 }, usedMicrobatches: 16 };
    const vector = new Float32Array(width);
    for (let seed = 0; seed < 4_000; seed++) {
      sum.begin(tree.root, tree.usedMicrobatches);
      for (const shard of arrivals({ ...tree, seed })) {
        backend.upload(sum.free, vector);
        sum.add(shard, sum.free);
      }
      sum.vector();
    }
    const buffers = storages();
    expect(buffers).toBeLessThanOrEqual(9);
    // One program for every ordered pair of buffers, added into either of the two.
    expect(prepare!.mock.calls.length).toBeLessThanOrEqual(buffers * (buffers - 1) * 2);
    const disposals = prepare!.mock.results.map(({ value }) => vi.spyOn(value as Program, 'dispose'));
    sum.dispose();
    for (const disposal of disposals) expect(disposal).toHaveBeenCalledOnce();
    expect(storages()).toBe(0);
  });

  it('holds the same free vector until it is added', async () => {
    const backend = await hostBackend();
    const sum = new TreeSum(backend, width);
    sum.begin({ lo: 0, n: 2 }, 2);
    const first = sum.free;
    expect(sum.free).toBe(first);
    sum.add({ lo: 0, n: 1 }, first);
    expect(sum.free).not.toBe(first);
    sum.dispose();
  });
});

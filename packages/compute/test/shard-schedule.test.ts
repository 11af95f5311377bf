/** Threads compute and add each sample of a shard once, in the order of the tree, in vectors that hold nothing else. */

import { nextPowerOfTwo } from '@lockstep/rules';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type PlacedSum, type ScheduleOptions, scheduleShard } from '../src/sliced-gradient.ts';
import { treeText } from './random-shards.ts';

/** Plays a schedule with strings in place of vectors. */
function play(options: ScheduleOptions) {
  const { samples, microbatchSize, threads, pieceMicrobatches } = options;
  const used = Math.ceil(samples / microbatchSize);
  const { turns, sum } = scheduleShard(options);
  const vectors = Array.from({ length: threads }, () => [] as string[]);
  let terms = 0;
  for (const pieces of turns) {
    expect(pieces).toHaveLength(threads);
    for (const [thread, piece] of pieces.entries()) {
      if (!piece) continue;
      const { from, to, vector, additions, endsTerm } = piece;
      expect(to - from).toBeGreaterThan(0);
      expect(to - from).toBeLessThanOrEqual(pieceMicrobatches * microbatchSize);
      // A plan has whole microbatches, or a single shorter one.
      expect((to - from) % microbatchSize === 0 || to - from < microbatchSize).toBe(true);
      const lo = from / microbatchSize;
      const own = vectors[thread]!;
      const n = nextPowerOfTwo(Math.ceil((to - from) / microbatchSize));
      own[vector] = treeText({ lo, n }, used);
      for (let into = vector - 1; into >= vector - additions; into--) own[into] = `(${own[into]}+${own[into + 1]})`;
      if (endsTerm) terms += 1;
    }
  }
  const text = (part: PlacedSum): string =>
    'thread' in part ? vectors[part.thread]![part.vector]! : `(${text(part.left)}+${text(part.right)})`;
  const termsOf = (part: PlacedSum): number => ('thread' in part ? 1 : termsOf(part.left) + termsOf(part.right));
  expect(terms).toBe(termsOf(sum));
  return { sum: text(sum), vectors: vectors.map(({ length }) => length), terms };
}

const optionsArbitrary = fc.record({
  samples: fc.integer({ min: 1, max: 3000 }),
  microbatchSize: fc.integer({ min: 1, max: 64 }),
  threads: fc.integer({ min: 1, max: 9 }),
  pieceMicrobatches: fc.integer({ min: 0, max: 5 }).map((power) => 2 ** power),
});

it('gives the sum of the tree for any number of samples, threads and microbatches at once', () => {
  fc.assert(
    fc.property(optionsArbitrary, (options) => {
      const used = Math.ceil(options.samples / options.microbatchSize);
      expect(play(options).sum).toBe(treeText({ lo: 0, n: nextPowerOfTwo(used) }, used));
    }),
    { numRuns: 500 },
  );
});

it('needs few vectors: one for each doubling of the pieces that a thread computes, and for each of its terms', () => {
  fc.assert(
    fc.property(optionsArbitrary, (options) => {
      const pieces = Math.ceil(options.samples / options.microbatchSize);
      for (const length of play(options).vectors) expect(length).toBeLessThanOrEqual(2 * Math.log2(pieces + 1) + 2);
    }),
    { numRuns: 200 },
  );
});

it('leaves the last addition to the pass over the sum, unless one piece is all', () => {
  const options = { samples: 128, microbatchSize: 16, threads: 1, pieceMicrobatches: 8 };
  expect(play(options)).toMatchObject({ terms: 1, vectors: [1] });
  expect(play({ ...options, pieceMicrobatches: 2 })).toMatchObject({ terms: 2, vectors: [3] });
  expect(play({ ...options, threads: 2 })).toMatchObject({ terms: 2, vectors: [1, 1] });
});

it('gives each of two threads half of a batch, and the last of three what is over', () => {
  const { turns } = scheduleShard({ samples: 96, microbatchSize: 32, threads: 2, pieceMicrobatches: 4 });
  expect(turns.flat().map((piece) => piece && [piece.from, piece.to])).toEqual([
    [0, 64],
    [64, 96],
  ]);
  const alone = scheduleShard({ samples: 20, microbatchSize: 32, threads: 3, pieceMicrobatches: 4 });
  expect(alone.turns.flat().filter((piece) => piece !== undefined)).toHaveLength(1);
});

/** The order of samples: shuffled the same on every engine, for each epoch and for the split into training and test. */

import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { argumentKinds, checkArguments, checkKnown, checkWhole, unexpected } from './data-error.ts';
import { type Dataset, type Targets, takeSamples } from './dataset.ts';

/** Draws a permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's version) from `generator`, which advances. */
export function shuffledIndices(count: number, generator: RandomGenerator): Uint32Array<ArrayBuffer> {
  const order = indicesInOrder(count);
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = drawBelow(last + 1, generator);
    const sample = order[chosen]!;
    order[chosen] = order[last]!;
    order[last] = sample;
  }
  return order;
}

function indicesInOrder(count: number): Uint32Array<ArrayBuffer> {
  const indices = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) indices[index] = index;
  return indices;
}

/**
 * Draws uniformly from `0 … count - 1`, for counts from 2 to 2^32. Gives the same numbers as pure-rand's `uniformInt`,
 * but in integers alone: its floating-point remainder takes most of its time.
 */
function drawBelow(count: number, generator: RandomGenerator): number {
  for (;;) {
    const drawn = (generator.next() ^ 0x80000000) >>> 0;
    const rest = drawn % count;
    // Reject the last partial block, to avoid modulo bias.
    if (drawn - rest + count <= 2 ** 32) return rest;
  }
}

/**
 * Returns a permutation of `0 … count - 1`.
 * Epoch e draws from the seed's xoroshiro128+ stream after e + 1 jumps of 2^64, so no two epochs of a run share a
 * number. Integer arithmetic gives every engine the same order.
 * @throws RangeError unless `count` and `seed` fit u32 and `epoch` is a safe integer of at least 0
 */
export function permutation(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  checkWhole('count', count, 0, u32Max);
  checkWhole('seed', seed, 0, u32Max);
  checkWhole('epoch', epoch, 0);

  const generator = xoroshiro128plus(seed);
  for (let jump = 0; jump <= epoch; jump += 1) generator.jump();
  return shuffledIndices(count, generator);
}

const u32Max = 2 ** 32 - 1;
const defaultTestFraction = 0.2;
export const defaultSplitSeed = 1;

/** How many samples are held out for testing, and by which seed. */
export interface SplitOptions {
  /** Fraction of the samples held out for testing, above 0; 1 leaves none for training. Default 0.2. */
  readonly testFraction?: number | undefined;
  /** u32; default 1. */
  readonly seed?: number | undefined;
}

interface SplitIndices {
  readonly train: Uint32Array<ArrayBuffer>;
  readonly test: Uint32Array<ArrayBuffer>;
}

interface SplitDataset {
  readonly train: Dataset;
  readonly test: Dataset;
}

/**
 * Splits a data set into training and test samples.
 * Running text is split by place: its last part is for testing. Otherwise both sides are shuffled, and
 * each class contributes its fraction of the test samples, rounded; a class of two or more has at least one on either
 * side. Both sides are shuffled. The same data, fraction and seed give the same split on every engine.
 * @throws RangeError if the fraction or seed is out of range; DataError if there are too few samples
 */
export function splitDataset(dataset: Dataset, options: SplitOptions = {}): SplitDataset {
  checkArguments('splitDataset', [argumentKinds.dataset, dataset], [argumentKinds.options, options]);
  checkKnown('splitDataset', options, ['testFraction', 'seed']);
  const { train, test } = splitIndices(dataset.targets, dataset.count, 'split', options);
  return { train: takeSamples(dataset, train), test: takeSamples(dataset, test) };
}

/** The fold that is held out for testing, of several, and the seed that deals out the samples. */
export interface FoldOptions {
  /** Number of folds, at least 2. */
  readonly folds: number;
  /** From 0. */
  readonly fold: number;
  /** u32; default 1. */
  readonly seed?: number | undefined;
}

/**
 * Holds out one of several folds for testing (stratified k-fold).
 * Each sample is in exactly one fold, and each fold has its part of each class. The same data, folds and seed give the
 * same parts on every engine.
 * @throws RangeError if an option is out of range, or there are more folds than samples
 */
export function foldDataset(dataset: Dataset, options: FoldOptions): SplitDataset {
  checkArguments('foldDataset', [argumentKinds.dataset, dataset], [argumentKinds.options, options]);
  const { folds, fold, seed = defaultSplitSeed } = options;
  const { count, targets } = dataset;
  checkWhole('folds', folds, 2, count);
  checkWhole('fold', fold, 0, folds - 1);
  checkWhole('seed', seed, 0, u32Max);
  const isText = isRunningText(targets);
  const order = isText ? indicesInOrder(count) : shuffledIndices(count, xoroshiro128plus(seed));
  const isTest = new Uint8Array(count);
  // Dealt out class by class, so that neither the folds nor their parts of a class differ by more than one sample.
  const dealt = Array.from(order);
  if (targets.role === 'index') dealt.sort((one, other) => targets.values[one]! - targets.values[other]!);
  for (const [at, sample] of dealt.entries()) {
    // The folds of a text are its parts, one after another.
    const dealtTo = isText ? Math.floor((at * folds) / count) : at % folds;
    if (dealtTo === fold) isTest[sample] = 1;
  }
  const part = (test: number) =>
    takeSamples(
      dataset,
      order.filter((sample) => isTest[sample] === test),
    );
  return { train: part(0), test: part(1) };
}

/** Returns the indices of the training and test samples. @param name prefix of a DataError's message */
export function splitIndices(targets: Targets, count: number, name: string, options: SplitOptions): SplitIndices {
  const { testFraction = defaultTestFraction, seed = defaultSplitSeed } = options;
  if (!(testFraction > 0 && testFraction <= 1)) {
    throw new RangeError(`testFraction: expected a number above 0 and up to 1, got ${testFraction}`);
  }
  checkWhole('seed', seed, 0, u32Max);
  if (isRunningText(targets)) return splitByPlace(count, name, testFraction);
  const groupOf = targets.role === 'index' ? (sample: number) => targets.values[sample]! : () => 0;
  const left = testCounts(count, groupOf, testFraction);
  // The epochs of a run draw from this stream after jumps of 2^64, so the split's order never repeats one of theirs.
  const order = shuffledIndices(count, xoroshiro128plus(seed));
  const test = order.filter((sample) => {
    const remaining = left.get(groupOf(sample))!;
    left.set(groupOf(sample), remaining - 1);
    return remaining > 0;
  });
  if (test.length === 0) {
    const expected = targets.role === 'index' ? 'two samples of one class' : 'two samples';
    throw unexpected(name, `at least ${expected}, one for training and one for testing`, `${count} in all`);
  }
  const isTest = new Uint8Array(count);
  for (const sample of test) isTest[sample] = 1;
  return { train: order.filter((sample) => isTest[sample] === 0), test };
}

function testCounts(count: number, groupOf: (sample: number) => number, fraction: number): Map<number, number> {
  const sizes = new Map<number, number>();
  for (let sample = 0; sample < count; sample += 1) {
    sizes.set(groupOf(sample), (sizes.get(groupOf(sample)) ?? 0) + 1);
  }
  return new Map([...sizes].map(([group, size]) => [group, heldOutCount(size, fraction)]));
}

/** Returns the number of samples to hold out, at least one on either side; all if the fraction is 1. */
export function heldOutCount(count: number, fraction: number): number {
  return fraction === 1 ? count : Math.min(Math.max(Math.round(count * fraction), 1), count - 1);
}

/** The next samples of a running text would give away what a shuffled test sample asks for. */
function isRunningText(targets: Targets): boolean {
  return targets.role === 'next' && targets.lines !== true;
}

/** Holds out the last samples. */
function splitByPlace(count: number, name: string, fraction: number): SplitIndices {
  const train = count - heldOutCount(count, fraction);
  if (train === count) {
    throw unexpected(name, 'at least two windows, one for training and one for testing', `${count} in all`);
  }
  const indices = indicesInOrder(count);
  return { train: indices.slice(0, train), test: indices.slice(train) };
}

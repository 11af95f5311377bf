/** A checkpoint round-trips bit for bit, and is refused if any byte of it is missing or changed. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, identityDifference } from '../src/checkpoint.ts';
import { sha256 } from '../src/sha256.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

/** A checkpoint with numbers that JSON cannot express, an unevaluated epoch, and a text that is not written. */
const checkpoint: Checkpoint = {
  ...sampleCheckpoint,
  progress: {
    ...sampleCheckpoint.progress,
    curve: {
      points: [{ steps: 2, seconds: 0.1, lossSum: Number.POSITIVE_INFINITY, correct: 1, count: 32 }],
      stride: 2,
      partial: null,
      partialSteps: 0,
    },
    resumedAtSteps: [100],
  },
  unevaluated: [
    {
      epoch: { epoch: 1, trainLoss: Number.NaN, trainAccuracy: 0.5, seconds: 1, imagesPerSecond: 7 },
      weights: Float32Array.of(1, 2, 3, 4, 5),
    },
  ],
  unwritten: [{ step: 140, weights: Float32Array.of(5, 4, 3, 2, 1) }],
};
const { identity } = checkpoint;

const bytes = await encodeCheckpoint(checkpoint, sha256);

describe('a checkpoint', () => {
  it('is decoded without a change to its bytes, also in a Buffer', () => {
    const buffer = Buffer.from(bytes);
    decodeCheckpoint(buffer, sha256);
    expect(Buffer.compare(buffer, bytes)).toBe(0);
  });

  it('comes back as it was, to the bit', () => {
    const decoded = decodeCheckpoint(bytes, sha256);
    expect(decoded).toEqual(checkpoint);
    expect(Object.is(decoded.weights[1], -0)).toBe(true);
  });

  it('is refused if it was cut at any byte, or if bytes follow it', () => {
    expect(() => decodeCheckpoint(Uint8Array.from([...bytes, 0]), sha256)).toThrow('checkpoint: expected SHA-256');
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeCheckpoint(bytes.slice(0, length), sha256)).toThrow(/^(checkpoint|safetensors): expected/);
    }
  });

  it('is refused if any byte of it was changed', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = bytes.slice();
        changed[at]! ^= flip;
        expect(() => decodeCheckpoint(changed, sha256)).toThrow(/^checkpoint: expected/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('identityDifference', () => {
  it.each([
    ['model', { name: 'other' }],
    ['data', 'bb'],
    ['seed', 2],
    ['batch', 32],
    ['microbatchSize', 8],
    ['optimizer', { type: 'sgd' }],
    ['gradients', 'fp16-exact'],
    ['initSha256', 'cc'],
    ['augment', 'flip,shift'],
    ['freeze', 1],
  ] as const)('names another %s', (key, value) => {
    expect(identityDifference(identity, { ...identity, [key]: value })).toMatch(
      new RegExp(`^expected ${key}[.a-zA-Z]* .*, got `),
    );
  });

  it('names the one setting that differs, however deep, and nothing between equal runs', () => {
    expect(identityDifference(identity, structuredClone(identity))).toBeUndefined();
    const optimizer = { type: 'momentum', learningRate: 0.05, schedule: { type: 'cosine', steps: 470 } };
    const longer = { ...optimizer, schedule: { ...optimizer.schedule, steps: 940 } };
    expect(identityDifference({ ...identity, optimizer }, { ...identity, optimizer: longer })).toBe(
      'expected optimizer.schedule.steps 470, got 940',
    );
    expect(identityDifference(identity, { ...identity, optimizer })).toBe(
      'expected optimizer.schedule none, got {"type":"cosine","steps":470}',
    );
  });
});

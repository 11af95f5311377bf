/** A checkpoint comes back bit for bit, and never where a byte of it is missing or changed. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, identityFault, type RunIdentity } from '../src/index.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const identity: RunIdentity = {
  model: { name: 'tiny', layers: [{ type: 'dense', units: 3 }] },
  data: 'aa',
  seed: 1,
  batch: 16,
  microbatchSize: 4,
  optimizer: { type: 'momentum', learningRate: 0.05 },
  gradients: 'exact',
};

const checkpoint: Checkpoint = {
  step: 150,
  identity,
  weights: Float32Array.of(1, -0, 3.5, 1e-40, -2),
  optimizer: { step: 150, slots: { buffer: Float32Array.of(0, -0, 5, 6, 7) } },
  progress: {
    epochs: [],
    lossSum: 12.5,
    correct: 3,
    count: 40,
    initialLoss: 2.3,
    images: 2400,
    seconds: 1.5,
    epochSeconds: 0.5,
  },
};

const bytes = encodeCheckpoint(checkpoint, sha256);

describe('a checkpoint', () => {
  it('comes back as it was, to the bit', () => {
    const decoded = decodeCheckpoint(bytes, sha256);
    expect(decoded).toEqual(checkpoint);
    expect(Object.is(decoded.weights[1], -0)).toBe(true);
  });

  it('is refused where it was cut at any byte', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeCheckpoint(bytes.slice(0, length), sha256)).toThrow(/^(checkpoint|safetensors): expected/);
    }
  });

  it('is refused where any byte of it was changed', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = bytes.slice();
        changed[at]! ^= flip;
        expect(() => decodeCheckpoint(changed, sha256)).toThrow(/^checkpoint: expected/);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused where bytes follow it', () => {
    expect(() => decodeCheckpoint(Uint8Array.from([...bytes, 0]), sha256)).toThrow('checkpoint: expected SHA-256');
  });
});

describe('identityFault', () => {
  it('finds nothing between equal runs', () => {
    expect(identityFault(identity, structuredClone(identity))).toBeUndefined();
  });

  it.each([
    ['model', { name: 'other' }],
    ['data', 'bb'],
    ['seed', 2],
    ['batch', 32],
    ['microbatchSize', 8],
    ['optimizer', { type: 'sgd' }],
    ['gradients', 'int8'],
  ] as const)('names another %s', (key, value) => {
    expect(identityFault(identity, { ...identity, [key]: value })).toMatch(
      new RegExp(`^it belongs to another run: expected ${key} .*, got `),
    );
  });
});

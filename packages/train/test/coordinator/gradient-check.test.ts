/** Gradient messages with one invalid field: each is rejected, naming the expected and the actual value. */
import { chunkChecksum, gradientChecksum } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { hostBackend } from '../../../compute/test/support.ts';
import { createProblem } from '../../../sim/test/support.ts';
import { chunkFault, gradientFault } from '../../src/coordinator/results.ts';

// 16 samples in batches of 8, two samples a microbatch: two steps an epoch, four microbatches.
const { setup, run } = await createProblem(await hostBackend(), {
  samples: 16,
  batch: 8,
  microbatchSize: 2,
  epochs: 2,
});
const { parameterCount } = run.parameterServer;
const bytes = Uint8Array.from({ length: 4 * parameterCount }, (_, index) => index);
const sum = { step: 1, lo: 2, n: 2, bytes, lossSum: 1.5, correct: 1, count: 4 };
const message = { type: 'gradient', ...sum, computeMs: 2, checksum: gradientChecksum(sum) } as const;
const fault = (changed: object) => gradientFault({ ...message, ...changed }, setup, parameterCount);

it('a good gradient has no fault, whatever its worker says of its time', () => {
  expect(fault({})).toBeUndefined();
  expect(fault({ computeMs: 1e9 })).toBeUndefined();
});

describe('a gradient that was changed on its way is found by its checksum', () => {
  it.each<[field: string, changed: object]>([
    ['step', { step: 0 }],
    ['shard', { lo: 0 }],
    ['bytes', { bytes: bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte)) }],
    ['loss', { lossSum: 1.5000001 }],
    ['sign of the loss', { lossSum: -1.5 }],
    ['correct answers', { correct: 2 }],
    ['checksum', { checksum: message.checksum ^ 1 }],
  ])('%s', (_, changed) => {
    expect(fault(changed)).toMatch(/^gradient: expected checksum \d+, got -?\d+$/);
  });
});

/** Returns the fault of a changed gradient with a right checksum, as from a worker that computes something else. */
const signedFault = (changed: object) => {
  const other = { ...sum, ...changed };
  return fault({ ...other, checksum: gradientChecksum(other) });
};

it.each<[changed: object, sentence: string]>([
  [{ step: 4 }, 'expected a step below 4, got 4'],
  [{ lo: 3 }, 'expected microbatches below 4, got 3 to 4'],
  [{ lo: 4, n: 1 }, 'expected microbatches below 4, got 4 to 4'],
  [{ lo: 0, n: 8, count: 8 }, 'expected microbatches below 4, got 0 to 7'],
  [{ count: 3 }, 'expected 4 samples, got 3'],
  [{ n: 1 }, 'expected 2 samples, got 4'],
  [{ bytes: bytes.subarray(4) }, `expected ${4 * parameterCount} bytes, got ${4 * parameterCount - 4}`],
])('a gradient with %o and a right checksum is refused', (changed, sentence) => {
  expect(signedFault(changed)).toBe(`gradient: ${sentence}`);
});

it('a chunk is known by its place and its bytes', () => {
  const part = { at: 16, bytes: bytes.subarray(0, 64) };
  const chunk = { type: 'chunk', ...part, checksum: chunkChecksum(part) } as const;
  const place = { at: 16, length: 16 };
  expect(chunkFault(chunk, setup, place)).toBeUndefined();
  expect(chunkFault(chunk, setup, { ...place, at: 0 })).toBe(
    'chunk: expected the values from 0 on, got those from 16 on',
  );
  expect(chunkFault(chunk, setup, { ...place, length: 15 })).toBe('chunk: expected 60 bytes, got 64');
  expect(chunkFault({ ...chunk, at: 32 }, setup, { ...place, at: 32 })).toMatch(/^chunk: expected checksum/);
});

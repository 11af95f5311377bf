/** Results of workers: which are refused, which are plausible, and which are the same. */
import { chunkChecksum, gradientChecksum } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { hostBackend } from '../../compute/test/support.ts';
import { createProblem } from '../../sim/test/support.ts';
import { type ArrivedResult, chunkFault, gradientFault, HeldResults, Plausibility } from '../src/results.ts';

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
  [{ correct: 5 }, 'expected at most 4 correct answers, got 5'],
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

describe('a result', () => {
  it('is not plausible before one is confirmed', () => {
    expect(new Plausibility().isPlausible({ gradient: 1e-9, loss: 1e-9 })).toBe(false);
  });

  it.each([
    [{ gradient: 1, loss: 2 }, true],
    [{ gradient: 8, loss: 16 }, true],
    [{ gradient: 8.1, loss: 1 }, false],
    [{ gradient: 0.1, loss: 16.1 }, false],
    [{ gradient: 0.1, loss: -16.1 }, false],
  ])('of %o beside a confirmed gradient of 1 and loss of 2: %s', (size, expected) => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: 2 });
    expect(plausibility.isPlausible(size)).toBe(expected);
  });

  it('stays plausible after a smaller one is confirmed, in the gradient and in the loss', () => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: -1 });
    plausibility.confirm({ gradient: 0.001, loss: 0.001 });
    expect(plausibility.isPlausible({ gradient: 8, loss: 8 })).toBe(true);
    plausibility.confirm({ gradient: 2, loss: 0.001 });
    expect(plausibility.isPlausible({ gradient: 16, loss: -8 })).toBe(true);
    expect(plausibility.isPlausible({ gradient: 16, loss: 9 })).toBe(false);
  });

  it('needs a new confirmation after some hundred steps, as gradients shrink', () => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: 1 });
    for (let step = 0; step < 300; step++) plausibility.age();
    expect(plausibility.isPlausible({ gradient: 1, loss: 1 })).toBe(false);
    plausibility.confirm({ gradient: 1, loss: 1 });
    expect(plausibility.isPlausible({ gradient: 1, loss: 1 })).toBe(true);
  });
});

const shard = { step: 0, lo: 0, n: 2 };
const other = { ...shard, lo: 2 };
const size = { gradient: 1, loss: 1 };

/** Memory whose reservations a test can see. */
function createMemory() {
  const reserved = new Set<Float32Array>();
  return {
    reserved,
    reserve(values: readonly number[]): Float32Array {
      const memory = Float32Array.from(values);
      reserved.add(memory);
      return memory;
    },
    valuesOf: (memory: unknown) => {
      if (!reserved.has(memory as Float32Array)) throw new Error('expected memory that is reserved');
      return memory as Float32Array;
    },
    release(memory: unknown) {
      if (!reserved.delete(memory as Float32Array)) throw new Error('released twice');
    },
  };
}

/** @param answers in each shard */
function create(answers = 8) {
  const memory = createMemory();
  const held = new HeldResults(memory, () => answers);
  const hold = (result: ArrivedResult) => {
    const equal = held.equalTo(result);
    held.hold(result);
    return equal;
  };
  const add = (connection: number, values: readonly number[], numericsHash = 'own', of = shard) =>
    hold({ connection, place: of, memory: memory.reserve(values), size, numericsHash });
  return { held, memory, add };
}

describe('held results', () => {
  it('give the one that counts to the caller, and release the others of the shard alone', () => {
    const { held, memory, add } = create();
    add(1, [1, 2, 3]);
    add(2, [4, 5, 6]);
    add(3, [7, 8, 9], 'own', other);
    const taken = held.take(shard, 2);
    expect(taken).toEqual({ connection: 2, place: shard, memory: Float32Array.of(4, 5, 6), size, numericsHash: 'own' });
    expect(memory.reserved).toEqual(new Set([taken!.memory, Float32Array.of(7, 8, 9)]));
    expect(held.take(shard, 1)).toBeUndefined();
    held.clear();
    expect([...memory.reserved]).toEqual([taken!.memory]);
  });
});

describe('two results are the same', () => {
  // Gradient of three values, sum of losses, correct answers.
  const result = [1, -2, 4, 10, 5];
  type Changed = readonly [at: number, by: number];

  it.each<[mode: string, changed: Changed, isSame: boolean, answers?: number]>([
    // Within one numeric mode the bits decide.
    ['own', [0, 0], true],
    ['own', [0, 2 ** -22], false],
    ['own', [3, 2 ** -20], false],
    ['own', [4, 1], false],
    // Between modes: a thousandth of the largest value and of the loss, and one answer or a thousandth of all answers.
    ['other', [0, 0.0039], true],
    ['other', [0, -0.0041], false],
    ['other', [2, 0.0041], false],
    ['other', [3, 0.0099], true],
    ['other', [3, -0.0101], false],
    ['other', [4, 1], true],
    ['other', [4, -1], true],
    ['other', [4, 2], false],
    ['other', [4, -5], false],
    ['other', [4, 4], true, 4_000],
    ['other', [4, -4], true, 4_000],
    ['other', [4, 5], false, 4_000],
    ['own', [4, 1], false, 4_000],
  ])('in the mode %s with the change %o: %s, of %s answers', (mode, [at, by], isSame, answers) => {
    const { add } = create(answers);
    add(1, result);
    const other = result.map((value, index) => (index === at ? value + by : value));
    expect(add(2, other, mode)).toEqual(isSame ? [1] : []);
  });

  it('if NaN stands in both, or in none', () => {
    const { add } = create();
    add(1, [Number.NaN, 1, 1]);
    expect(add(2, [Number.NaN, 1, 1])).toEqual([1]);
    expect(add(3, [0, 1, 1])).toEqual([]);
    expect(add(4, [Number.NaN, 1, 1], 'other')).toEqual([]);
  });
});

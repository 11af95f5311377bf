/** Results that wait to be compared, whole or as digests. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldResults } from '../../src/coordinator/held-results.ts';
import { planRun } from '../../src/plan.ts';
import { newHash } from '../support.ts';

const plan = planRun({ samples: 16, batch: 8, microbatchSize: 2, epochs: 1 });
const [shard, other] = [
  { lo: 0, n: 2 },
  { lo: 2, n: 2 },
];
const size = { gradient: 1, loss: 1 };

/** Memory of which a test sees what is reserved. */
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

interface Options {
  readonly mostHeldBytes?: number;
}

function create({ mostHeldBytes = 0 }: Options = {}) {
  const memory = createMemory();
  const setup = { plan, refereeHash: 'own', limits: { mostHeldBytes } };
  const held = new HeldResults(setup, memory, newHash);
  const add = (connection: number, values: readonly number[], numericsHash = 'own', of = shard) =>
    held.add(of, { connection, memory: memory.reserve(values), size, numericsHash });
  return { held, memory, add };
}

/** Two of them are often equal. */
const vector = fc.array(fc.constantFrom(0, -0, 1, 1 + 2 ** -23, Number.NaN), { minLength: 1, maxLength: 2 });

describe('held results of one numeric mode', () => {
  it('agree, and are given out, the same whether they are whole or digests', () => {
    fc.assert(
      fc.property(
        fc.array(vector, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat({ max: 4 }),
        (vectors, mask, at) => {
          const whole = create();
          const digested = create();
          for (const [connection, values] of vectors.entries()) {
            const expected = whole.add(connection, values);
            expect(digested.add(connection, values)).toEqual(expected);
            const isLast = connection === vectors.length - 1;
            if (!isLast && (mask >> connection) & 1) digested.held.digest();
          }
          const last = vectors.length - 1;
          const connection = at % vectors.length;
          const isEqual = vectors[connection]!.every((value, index) => Object.is(value, vectors[last]![index]));
          const isWhole = digested.memory.reserved.size === vectors.length;
          const taken = digested.held.take(shard, connection);
          const expected = whole.held.take(shard, connection)!;
          if (taken) {
            expect(taken).toEqual(expected);
            expect([...digested.memory.reserved]).toEqual([taken.memory]);
          } else expect(isEqual && vectors[connection]!.length === vectors[last]!.length).toBe(false);
          if (isWhole) expect(taken).toBeDefined();
        },
      ),
    );
  });

  it('take no memory once a digest is enough, each shard by itself', () => {
    const { held, memory, add } = create();
    add(1, [1, 2, 3]);
    add(2, [4, 5, 6], 'own', other);
    held.digest(other);
    expect(memory.reserved.size).toBe(1);
    held.digest();
    expect(memory.reserved.size).toBe(0);
    expect(add(3, [1, 2, 3])).toEqual([1]);
    const taken = { connection: 1, memory: Float32Array.of(1, 2, 3), size, numericsHash: 'own' };
    expect(held.take(shard, 1)).toEqual(taken);
    held.clear();
    expect(memory.reserved.size).toBe(1);
  });

  it('stay whole if they are short', () => {
    const { held, memory, add } = create({ mostHeldBytes: 12 });
    add(1, [1, 2, 3]);
    held.digest();
    expect(memory.reserved.size).toBe(1);
  });
});

describe('held results of other numeric modes', () => {
  it('stay whole, and are confirmed by what the coordinator finds, within rounding', () => {
    const { held, memory, add } = create();
    add(1, [1, 2, 3], 'other');
    add(2, [1, 2, 4]);
    held.digest();
    expect(memory.reserved.size).toBe(1);
    expect(add(0, [1 + 1e-6, 2, 3])).toEqual([1]);
    expect(held.take(shard, 1)?.memory).toEqual(Float32Array.of(1, 2, 3));
  });

  it('are not confirmed by a digest', () => {
    const { held, add } = create();
    add(1, [1, 2, 3]);
    held.digest();
    expect(add(2, [1, 2, 3], 'other')).toEqual([]);
  });
});

describe('two results are the same', () => {
  // Gradient of three values, sum of losses, correct answers.
  const result = [1, -2, 4, 10, 5];
  type Changed = readonly [at: number, by: number];

  it.each<[mode: string, changed: Changed, isSame: boolean]>([
    // In one numeric mode the bits decide.
    ['own', [0, 0], true],
    ['own', [0, 2 ** -22], false],
    ['own', [3, 2 ** -20], false],
    ['own', [4, 1], false],
    // Between two, a thousandth of the largest value, of the loss, and one answer or a thousandth of them.
    ['other', [0, 0.0039], true],
    ['other', [0, -0.0041], false],
    ['other', [2, 0.0041], false],
    ['other', [3, 0.0099], true],
    ['other', [3, -0.0101], false],
    ['other', [4, 1], true],
    ['other', [4, -1], true],
    ['other', [4, 2], false],
    ['other', [4, -5], false],
  ])('in the mode %s with the change %o: %s', (mode, [at, by], isSame) => {
    const { add } = create({ mostHeldBytes: 1_000 });
    add(1, result);
    const other = result.map((value, index) => (index === at ? value + by : value));
    expect(add(2, other, mode)).toEqual(isSame ? [1] : []);
  });

  it('if NaN stands in both, or in none', () => {
    const { add } = create({ mostHeldBytes: 1_000 });
    add(1, [Number.NaN, 1, 1]);
    expect(add(2, [Number.NaN, 1, 1])).toEqual([1]);
    expect(add(3, [0, 1, 1])).toEqual([]);
    expect(add(4, [Number.NaN, 1, 1], 'other')).toEqual([]);
  });
});

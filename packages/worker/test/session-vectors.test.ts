/** A session's vectors in chunks: arriving weights, outgoing gradients, and refused chunks. */
import { type CoordinatorMessage, chunkChecksum, gradientChecksum } from '@lockstep/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { activated, begun, computing, Script, task, weights } from './script.ts';

/**
 * First message of weights in three chunks of the two values that the script's welcome announces; the last is short.
 */
const first = (step: number) => ({ ...weights(step), values: 5 });
const chunk = (at: number, values: number): CoordinatorMessage => ({
  type: 'chunk',
  at,
  bytes: new Uint8Array(4 * values),
});

describe('weights in chunks', () => {
  it('count from their last chunk on; other messages may come between them', async () => {
    const script = await activated();
    await script.send(first(1), task(1, 0), chunk(2, 2), { type: 'ping', sentAtMs: 3 });
    expect(script.of('pong')).toHaveLength(1);
    expect(script.jobs).toEqual([]);
    await script.send(chunk(4, 1));
    expect(begun(script)).toEqual(['1:0']);
  });

  it('give way to others that begin before they are whole', async () => {
    const script = await activated();
    await script.send(first(1), task(1, 0), chunk(2, 2), first(1), chunk(2, 2));
    expect(begun(script)).toEqual([]);
    await script.send(chunk(4, 1));
    expect(begun(script)).toEqual(['1:0']);
  });

  it('do not touch those before them, which a shard that is computed has kept from being taken over', async () => {
    const script = await computing(0);
    await script.send(first(1), chunk(2, 2), chunk(4, 1), task(1, 1), task(2, 2));
    await script.send(first(2), chunk(2, 2));
    await script.jobs[0]!.finish();
    await script.send(chunk(4, 1));
    await script.jobs[1]!.finish();
    expect(begun(script)).toEqual(['0:0', '1:1', '2:2']);
  });

  it.each<[string, CoordinatorMessage[], string]>([
    ['a chunk of nothing', [chunk(2, 2)], 'chunk: expected a vector that it is part of, got none'],
    ['a gap', [first(1), chunk(4, 1)], 'weights: expected the values from 2 on, got those from 4 on'],
    ['too many values', [first(1), chunk(2, 4)], 'weights: expected 4 to 12 bytes of float32 values, got 16'],
    ['no values', [first(1), chunk(2, 0)], 'weights: expected 4 to 12 bytes of float32 values, got 0'],
    ['torn values', [first(1), { type: 'chunk', at: 2, bytes: new Uint8Array(6) }], 'float32 values, got 6'],
    [
      'rounded values',
      [first(1), { ...chunk(2, 2), encoding: 'fp16' } as CoordinatorMessage],
      'float32 values, got fp16',
    ],
  ])('with %s end the connection', async (_, messages, reason) => {
    const script = await activated();
    await script.send(...messages);
    expect(script.end).toEqual({ type: 'lost', message: expect.stringContaining(reason) });
    expect(script.closing).toMatchObject({ code: 1002 });
  });
});

describe('weights that are read into memory of the session or of the compute', () => {
  const whole = (step: number) => ({ ...weights(step), bytes: new Uint8Array(20).fill(step) });

  it('are not set again if they are there', async () => {
    const script = new Script({}, 0, { isShared: true, ofCompute: true });
    await script.activate();
    const { timesSet } = script;
    await script.send(whole(1), task(1, 0));
    expect(begun(script)).toEqual(['1:0']);
    expect(script.timesSet).toBe(timesSet);
  });

  it('change no shard, whatever is computed, frozen or waiting when they arrive', async () => {
    const often = { weight: 8, arbitrary: fc.constantFrom('weights', 'chunk', 'task', 'task ahead', 'finish') };
    const action = fc.oneof(often, fc.constantFrom('freeze', 'pass', 'pass', 'go back'));
    /** Returns the shards that a worker began. */
    const shards = async (actions: readonly string[], isShared = false, ofCompute = false): Promise<string[]> => {
      const script = new Script({}, 0, { isShared, ofCompute });
      await script.activate();
      let [step, lo, finished, chunks] = [0, 0, 0, 0];
      const run: Record<string, () => Promise<unknown> | undefined> = {
        weights() {
          chunks = 0;
          return script.send(whole(++step));
        },
        chunk() {
          const next = [first(step + 1), chunk(2, 2), chunk(4, 1)][chunks]!;
          chunks = (chunks + 1) % 3;
          if (chunks === 0) step += 1;
          return script.send(next);
        },
        task: () => script.send(task(step, lo++)),
        'task ahead': () => script.send(task(step + 1, lo++)),
        finish: () => (finished < script.jobs.length ? script.jobs[finished++]!.finish() : undefined),
        freeze: () => script.send({ type: 'injectFault', action: 'freeze', forMs: 100 }),
        pass: () => script.pass(60),
        'go back': () => {
          step = Math.max(0, step - 2);
          chunks = 0;
          return script.send({ type: 'goBack', step: step + 1 });
        },
      };
      for (const name of actions) await run[name]!();
      await script.pass(200);
      expect(script.end).toBeUndefined();
      return begun(script);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30, size: 'max' }), async (actions) => {
        const expected = await shards(actions);
        expect(await shards(actions, true)).toEqual(expected);
        expect(await shards(actions, true, true)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

it('a gradient that is longer than a chunk is sent in several, each with its checksum', async () => {
  const script = await computing(2);
  const gradient = Uint8Array.from({ length: 20 }, (_, index) => index + 1);
  await script.jobs[0]!.finish({ gradient: gradient.slice() });
  const sum = { step: 0, lo: 2, n: 1, lossSum: 2, correct: 0, count: 2, bytes: gradient.subarray(0, 8) };
  const chunks = [
    { at: 2, bytes: gradient.subarray(8, 16) },
    { at: 4, bytes: gradient.subarray(16) },
  ];
  const rest = { checksum: gradientChecksum(sum), values: 5, computeMs: 7, turnaroundMs: 0 };
  expect(script.received.slice(2)).toEqual([
    { type: 'gradient', ...sum, ...rest },
    ...chunks.map((part) => ({ type: 'chunk', ...part, checksum: chunkChecksum(part) })),
  ]);
});

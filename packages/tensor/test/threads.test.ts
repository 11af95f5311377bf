/** Threads over one memory: same bits as one thread, and every failure ends with one sentence. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  apply,
  constant,
  type HostBackend,
  input,
  openBackend,
  prepareElementwise,
  type Storage,
} from '../src/index.ts';
import { nodeThreads } from '../src/node.ts';
import { randomValues } from './values.ts';

const { backend } = await openBackend('cpu', nodeThreads(3));
const { backend: alone } = await openBackend('cpu');

afterAll(() => backend.close?.());

function uploaded(on: HostBackend, values: Float32Array): Storage {
  const storage = on.allocate(values.length);
  on.upload(storage, values);
  return storage;
}

describe('three threads', () => {
  it('are named in the line that says what computes', async () => {
    const { backend: opened, choice, refused } = await openBackend('cpu', nodeThreads(2));
    expect([opened.threads, refused]).toEqual([2, []]);
    expect(choice).toMatch(/^computing on cpu in 2 threads/);
    await opened.close?.();
  });

  it('compute lists of programs side by side with the bits of one after another, time after time', () => {
    const [m, k, n] = [33, 70, 41];
    const work = (on: HostBackend, seed: number) => {
      const [left, right] = [uploaded(on, randomValues(m * k, seed)), uploaded(on, randomValues(k * n, seed + 1))];
      const output = on.allocate(m * n);
      const sums = on.allocate(m);
      const product = { kind: 'matmul', m, k, n, left, right } as const;
      const sum = {
        kind: 'reduce',
        reduction: 'sum',
        outer: m,
        length: n,
        inner: 1,
        input: output,
        output: sums,
      } as const;
      return { programs: [on.prepare([{ ...product, output }]), on.prepare([sum])], result: sums };
    };
    for (let round = 0; round < 40; round++) {
      // Covers fewer lists than threads, empty lists, and lists of several programs.
      const seeds = [round, round + 100, round + 200].slice(0, 1 + (round % 3));
      const together = seeds.map((seed) => work(backend, seed));
      backend.runTogether!([...together.map(({ programs }) => programs), []].reverse());
      for (const [index, seed] of seeds.entries()) {
        const one = work(alone, seed);
        for (const program of one.programs) program.run();
        expect(backend.view(together[index]!.result)).toEqual(alone.view(one.result));
      }
    }
  });

  it('do slices of long maps over vectors, with the bits of one thread', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.nat(), (length, seed) => {
        const run = (on: HostBackend): Float32Array[] => {
          const [a, b] = [uploaded(on, randomValues(length, seed)), uploaded(on, randomValues(length, seed + 1))];
          const scale = uploaded(on, Float32Array.of(0.3));
          const view = (storage: Storage) => ({ storage, strides: [storage === scale ? 0 : 1] });
          const product = apply('add', input(0), apply('mul', input(1), input(2)));
          const program = prepareElementwise(on, [
            { kind: 'map', formula: product, shape: [length], inputs: [a, b, scale].map(view), output: a },
            {
              kind: 'map',
              formula: apply('sub', input(1), input(0)),
              shape: [length],
              inputs: [a, b].map(view),
              output: b,
            },
          ]);
          program.run();
          const results = [a, b].map((storage) => on.view(storage).slice());
          program.dispose();
          for (const storage of [a, b, scale]) on.free(storage);
          return results;
        };
        expect(run(backend)).toEqual(run(alone));
      }),
      { numRuns: 40 },
    );
  });

  it('alone share their memory', () => {
    const memoryOf = (on: HostBackend) => on.view(on.allocate(1)).buffer;
    expect([backend, alone].map(memoryOf)).toEqual([expect.any(SharedArrayBuffer), expect.any(ArrayBuffer)]);
  });

  it('see memory that was added after they had begun', () => {
    const size = 4_000_000;
    const big = uploaded(backend, new Float32Array(size).fill(2));
    const call = { kind: 'map', formula: apply('mul', input(0), constant(3)), shape: [size], output: big } as const;
    prepareElementwise(backend, [{ ...call, inputs: [{ storage: big, strides: [1] }] }]).run();
    expect(backend.view(big).every((value) => value === 6)).toBe(true);
    backend.free(big);
  });
});

describe('threads that cannot be had', () => {
  it.each([
    [
      'since one cannot be started',
      () => {
        throw new Error('no more threads');
      },
      'one thread computes instead of 2: no more threads',
    ],
    [
      'since one ends at once',
      (_: unknown, { onEnd }: { onEnd(message: string): void }) => {
        onEnd('its script did not load');
        return { end: async () => {} };
      },
      'one thread computes instead of 2: its script did not load',
    ],
    [
      'since the module cannot be instantiated there',
      (...[setup, events]: Parameters<ReturnType<typeof nodeThreads>['start']>) =>
        nodeThreads(2).start({ ...setup, module: {} }, events),
      /^one thread computes instead of 2: .*WebAssembly.instantiate/,
    ],
  ])('leave one, with a sentence, %s', async (_, start, sentence) => {
    const { backend: opened, refused } = await openBackend('cpu', { count: 2, start });
    expect(opened.threads).toBe(1);
    expect(refused).toEqual([expect.stringMatching(sentence)]);
  });

  it('leave one, with a sentence, if there is no shared memory', async () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    try {
      const { backend: opened, refused } = await openBackend('auto', nodeThreads(4));
      expect(opened.threads).toBe(1);
      expect(refused).toEqual([
        'one thread computes instead of 4: threads need shared memory (SharedArrayBuffer), which is not available here',
      ]);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('are not asked of a backend that has one', async () => {
    const { backend: opened, refused } = await openBackend('reference', nodeThreads(2));
    expect([opened.threads, refused]).toEqual([undefined, []]);
  });
});

describe('a thread that dies', () => {
  it('ends with a sentence all that is asked of its backend afterwards', async () => {
    const ends: (() => Promise<void>)[] = [];
    const options = nodeThreads(2);
    const { backend: opened } = await openBackend('cpu', {
      ...options,
      start(setup, events) {
        const thread = options.start(setup, events);
        ends.push(() => thread.end());
        return thread;
      },
    });
    const storage = opened.allocate(1);
    const program = opened.prepare([{ kind: 'map', formula: constant(1), shape: [1], inputs: [], output: storage }]);
    const lists = [[program], [opened.prepare([])]];
    lists[1]!.push(program);
    opened.runTogether!(lists);
    await ends[0]!();
    await nextTurn();
    expect(() => opened.runTogether!(lists)).toThrow(/^a compute thread has died: it ended with exit code 1$/);
    expect(() => opened.runTogether!([[program]])).not.toThrow();
  });

  it('ends all that as well if the platform does not say that it has died', async () => {
    const { backend: opened } = await openBackend('cpu', {
      count: 2,
      start(_setup, { onMessage }) {
        queueMicrotask(() => onMessage({ type: 'ready' }));
        return { end: async () => {} };
      },
    });
    const output = opened.allocate(2);
    const lists = [1, 2].map((value, at) => [
      opened.prepare([
        { kind: 'map', formula: constant(value), shape: [1], inputs: [], output: opened.slice(output, at, 1) },
      ]),
    ]);
    const now = vi.spyOn(performance, 'now').mockReturnValue(0);
    try {
      opened.runTogether!(lists);
      expect([...opened.view(output)]).toEqual([1, 2]);
      // The clock jumps by an hour, as after a laptop's sleep, which must not count as a dead thread.
      let nowMs = 3_600_000;
      for (; nowMs < 3_609_000; nowMs += 400) {
        now.mockReturnValue(nowMs);
        expect(() => opened.runTogether!(lists)).not.toThrow();
      }
      const runOn = (): void => {
        for (; nowMs < 3_612_000; nowMs += 400) {
          now.mockReturnValue(nowMs);
          opened.runTogether!(lists);
        }
      };
      expect(runOn).toThrow(/^a compute thread has died: it gave no result for 10 s$/);
    } finally {
      now.mockRestore();
    }
  });

  it('ends all that as well if it fails at a program', async () => {
    const { backend: opened } = await openBackend('cpu', nodeThreads(2));
    const program = opened.prepare([
      { kind: 'map', formula: constant(1), shape: [1], inputs: [], output: opened.allocate(1) },
    ]);
    const bad = { ...program, address: 2 ** 32 - 4, end: 2 ** 32 - 2 };
    // The calling thread takes over the program if the other thread has not started it.
    const message = /^a compute thread has died: thread 1 failed$|^memory access out of bounds$/;
    expect(() => opened.runTogether!([[program], [bad]])).toThrow(message);
    await opened.close?.();
  });
});

/** The contract of every backend, and the numerics check that a backend must pass before it is used. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCall } from '../src/autograd.ts';
import { checkNumerics } from '../src/backends/registry.ts';
import { backendNames, type HostBackend, input, isHostBackend, type KernelCall, openBackend } from '../src/index.ts';
import { bitsOf, openAll, randomStream, randomValues } from './support.ts';

const backends = await openAll();
const reference = backends.find((backend) => backend.name === 'reference')!;

describe.each(backends)('$name', (backend) => {
  it('is a host backend with a name from the registry', () => {
    expect(isHostBackend(backend)).toBe(true);
    expect(backendNames).toContain(backend.name);
  });

  it('copies values in and out, to the bit', async () => {
    const values = new Float32Array(new Uint32Array([0x7fc00001, 0x80000000, 1, 0xff800000, 0x3f800000]).buffer);
    const storage = backend.allocate(5);
    backend.upload(storage, values);
    expect(bitsOf(await backend.download(storage))).toEqual(bitsOf(values));
    backend.free(storage);
  });

  it.each([0, 1, 3, 4, 5, 1003])('divides %i bytes as float32 does', (length) => {
    const random = randomStream(length);
    const bytes = Uint8Array.from({ length }, (_, index) => (index < 256 ? index : Math.floor(random() * 256)));
    for (const divisor of [255, 1, 3]) {
      const storage = backend.allocate(length + 1);
      backend.upload(storage, new Float32Array(length + 1).fill(7));
      backend.uploadBytes(backend.slice(storage, 0, length), bytes, divisor);
      expect(backend.view(storage)).toEqual(Float32Array.of(...Array.from(bytes, (byte) => byte / divisor), 7));
      backend.free(storage);
    }
  });

  it('finds the largest magnitude wherever it stands, and a value that is not finite', () => {
    for (const length of [0, 1, 4, 7, 130]) {
      const storage = backend.allocate(length);
      const values = randomValues(length, length).map((value) => value * 3e38);
      backend.upload(storage, values);
      const magnitude = backend.magnitudeOf(storage);
      const largest = (): number => {
        magnitude.program.run();
        return magnitude.value();
      };
      expect(largest()).toBe(Math.max(0, ...values.map(Math.abs)));
      for (let index = 0; index < length; index++) {
        backend.upload(storage, values.with(index, -3.4e38));
        expect(largest()).toBe(Math.fround(3.4e38));
        for (const poison of [Number.NaN, Infinity, -Infinity]) {
          backend.upload(storage, values.with(index, poison));
          expect(largest(), `${poison} at ${index} of ${length}`).not.toSatisfy(Number.isFinite);
        }
      }
      magnitude.program.dispose();
      backend.free(storage);
    }
  });

  it('keeps storages apart while many are made and freed', () => {
    const random = randomStream(77);
    const alive: { storage: ReturnType<typeof backend.allocate>; mark: number; length: number }[] = [];
    for (let round = 0; round < 600; round++) {
      if (alive.length > 40 || (alive.length > 0 && random() < 0.4)) {
        const [{ storage, mark, length }] = alive.splice(Math.floor(random() * alive.length), 1) as [(typeof alive)[0]];
        expect(backend.view(storage).every((value) => value === mark)).toBe(true);
        expect(storage.length).toBe(length);
        backend.free(storage);
      } else {
        const length = Math.floor(random() ** 4 * 100_000);
        const storage = backend.allocate(length);
        backend.upload(storage, new Float32Array(length).fill(round));
        alive.push({ storage, mark: round, length });
      }
    }
    for (const { storage, mark } of alive) {
      expect(backend.view(storage).every((value) => value === mark)).toBe(true);
      backend.free(storage);
    }
  });

  it('computes losses alone with the bits of losses with their gradient', () => {
    const [rows, classes] = [7, 10];
    const logits = backend.allocate(rows * classes);
    const labels = backend.allocate(rows);
    backend.upload(
      logits,
      randomValues(rows * classes, 5).map((value) => value * 1e4),
    );
    backend.upload(labels, Float32Array.of(0, 9, 3, -1, 10, 2.5, Number.NaN));
    const [both, alone, gradient] = [backend.allocate(rows), backend.allocate(rows), backend.allocate(rows * classes)];
    const call = { kind: 'crossEntropy', rows, classes, logits, labels } as const;
    runCall(backend, { ...call, losses: both, gradient });
    runCall(backend, { ...call, losses: alone });
    expect(bitsOf(backend.view(alone))).toEqual(bitsOf(backend.view(both)));
    const losses = [...backend.view(both)];
    expect(losses.map(Number.isFinite)).toEqual([true, true, true, false, false, false, false]);
    for (let row = 0; row < rows; row++) {
      const own = backend.view(gradient).slice(row * classes, (row + 1) * classes);
      if (row >= 3) expect(own.every(Number.isNaN)).toBe(true);
      else expect(Math.abs(own.reduce((total, value) => total + value, 0))).toBeLessThan(1e-6);
    }
    for (const storage of [logits, labels, both, alone, gradient]) backend.free(storage);
  });

  it('finds the first largest value, and a NaN before all', () => {
    const source = backend.allocate(8);
    const target = backend.allocate(2);
    backend.upload(source, Float32Array.of(1, 5, 5, 2, 3, Number.NaN, 9, Number.NaN));
    const call = { kind: 'reduce', reduction: 'argmax', outer: 2, length: 4, inner: 1 } as const;
    runCall(backend, { ...call, input: source, output: target });
    expect([...backend.view(target)]).toEqual([1, 1]);
    backend.free(source);
    backend.free(target);
  });

  it.each([1, 2, 3, 4, 5, 16, 17, 21])(
    'finds the largest and the smallest of %i, NaN and the sign of 0 included',
    (length) => {
      for (const [outer, inner] of [
        [3, 1],
        [9, 1],
        [2, 7],
      ] as const) {
        const size = outer * length * inner;
        for (const poison of [[], [Number.NaN], [-0, 0, 0], [0, -0], [Infinity, -Infinity]]) {
          const values = randomValues(size, length);
          poison.forEach((value, index) => {
            values[(index * 5 + 2) % size] = value;
          });
          if (poison.length > 1 && poison.every((value) => value === 0)) {
            for (let index = 0; index < size; index++) values[index] = poison[index % poison.length]!;
          }
          const [source, target] = [backend.allocate(size), backend.allocate(outer * inner)];
          backend.upload(source, values);
          for (const [reduction, choose] of [
            ['max', Math.max],
            ['min', Math.min],
          ] as const) {
            runCall(backend, { kind: 'reduce', reduction, outer, length, inner, input: source, output: target });
            const expected = Array.from({ length: outer * inner }, (_, at) => {
              const start = Math.floor(at / inner) * length * inner + (at % inner);
              return choose(...Array.from({ length }, (__, index) => values[start + index * inner]!));
            });
            expect([...backend.view(target)]).toEqual(expected);
          }
          backend.free(source);
          backend.free(target);
        }
      }
    },
  );

  it('picks NaN for an invalid index, and leaves it out when it adds back', () => {
    const [source, indices, target] = [backend.allocate(6), backend.allocate(5), backend.allocate(10)];
    backend.upload(source, Float32Array.of(1, 2, 3, 4, 5, 6));
    backend.upload(indices, Float32Array.of(2, -1, 0.5, Number.NaN, 3));
    const sizes = { outer: 1, length: 3, inner: 2, count: 5, ownIndices: false } as const;
    runCall(backend, { kind: 'gather', ...sizes, input: source, indices, output: target });
    const none = Array.from({ length: 8 }, () => Number.NaN);
    expect([...backend.view(target)]).toEqual([5, 6, ...none]);
    backend.upload(target, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    runCall(backend, { kind: 'scatterAdd', ...sizes, input: target, indices, output: source });
    expect([...backend.view(source)]).toEqual([0, 0, 0, 0, 1, 2]);
    for (const storage of [source, indices, target]) backend.free(storage);
  });

  it('refuses what would leave its memory, and storages that are gone or not its own', () => {
    const storage = backend.allocate(6);
    const slice = backend.slice(storage, 2, 3);
    expect(() => backend.slice(storage, 4, 3)).toThrow('3 values from 4 on do not lie inside a storage of 6');
    expect(() => backend.allocate(-1)).toThrow('a whole number of at least 0, got -1');
    expect(() => backend.upload(storage, new Float32Array(5))).toThrow('the storage holds 6 values, but 5 were given');
    expect(() => backend.free(slice)).toThrow('a slice cannot be freed');
    const product = { kind: 'matmul', m: 2, k: 3, n: 2 } as const;
    expect(() => backend.prepare([{ ...product, left: storage, right: storage, output: slice }])).toThrow(
      'matmul: the output needs 4 values, but its storage has 3',
    );
    const copy = { kind: 'map', formula: input(0), shape: [4], output: storage } as const;
    expect(() => backend.prepare([{ ...copy, inputs: [{ storage: slice, strides: [1] }] }])).toThrow(
      'map: input 0 needs 4 values, but its storage has 3',
    );
    expect(() => backend.prepare([{ ...copy, inputs: [] }])).toThrow('the formula reads input 0, but there are 0');
    const largest = { kind: 'reduce', reduction: 'max', outer: 1, length: 6, inner: 1 } as const;
    expect(() => backend.prepare([{ ...largest, input: storage, factor: storage, output: slice }])).toThrow(
      'max: cannot have a factor',
    );
    expect(() =>
      backend.prepare([{ ...largest, reduction: 'sum', input: storage, factor: slice, output: storage }]),
    ).toThrow('sum: the factor needs 6 values, but its storage has 3');
    for (const other of backends) {
      if (other !== backend) expect(() => other.view(storage)).toThrow('belongs to another backend');
    }
    backend.free(storage);
    expect(() => backend.view(slice)).toThrow('already freed');
    expect(() => backend.free(storage)).toThrow('already freed');
  });
});

/** Returns the reference with wrong results for one kind of call: `spoil` changes its output, or its losses. */
function tampered(kind: KernelCall['kind'], spoil: (values: Float32Array) => void): HostBackend {
  const outputOf = (call: KernelCall) => (call.kind === 'crossEntropy' ? call.losses : call.output);
  return new Proxy(reference, {
    get(target, property) {
      if (property !== 'prepare') {
        const member = Reflect.get(target, property) as unknown;
        return typeof member === 'function' ? member.bind(target) : member;
      }
      // One program per call, so that the next call reads the spoiled values.
      return (calls: readonly KernelCall[]) => {
        const programs = calls.map((call) => ({ call, program: target.prepare([call]) }));
        const run = (): void => {
          for (const { call, program } of programs) {
            program.run();
            if (call.kind === kind) spoil(target.view(outputOf(call)));
          }
        };
        const dispose = (): void => {
          for (const { program } of programs) program.dispose();
        };
        return { run, dispose };
      };
    },
  });
}

describe('the numerics check before a backend is trusted', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  const kinds = ['map', 'reduce', 'matmul', 'crossEntropy', 'convolution', 'pool', 'unpool'] as const;

  it.each(kinds)('refuses a wrong %s', async (kind) => {
    const scale = tampered(kind, (values) => {
      // Changes the largest value: another might be 0, or lie under no window.
      const sizes = values.map(Math.abs);
      values[sizes.indexOf(Math.max(...sizes))]! *= 1.001;
    });
    const place = kind === 'unpool' ? 'gradient of the [a-z ]+' : '(loss|gradient of the [a-z ]+)';
    const message = new RegExp(`its arithmetic is wrong: in the ${place} of a known network, .* should be .*, got `);
    await expect(checkNumerics(scale)).rejects.toThrow(message);
    const poison = tampered(kind, (values) => values.fill(Number.NaN));
    await expect(checkNumerics(poison)).rejects.toThrow('got NaN');
  });

  it('accepts float32 rounding', async () => {
    const rounding = tampered('matmul', (values) => {
      for (let index = 0; index < values.length; index += 3) values[index]! *= 1 + 2 ** -23;
    });
    await expect(checkNumerics(rounding)).resolves.toEqual(expect.any(Number));
  });

  it('takes the next backend if the engine has no WebAssembly, and says why', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    const { backend, refused, choice } = await openBackend('auto');
    expect(backend.name).toBe('reference');
    expect(refused).toEqual(['backend cpu was refused: this engine has no WebAssembly']);
    expect(choice).not.toContain('slower');
    await expect(openBackend('cpu')).rejects.toThrow('backend cpu was refused: this engine has no WebAssembly');
  });

  it('takes cpu if it can', async () => {
    expect((await openBackend('auto')).backend.name).toBe('cpu');
  });
});

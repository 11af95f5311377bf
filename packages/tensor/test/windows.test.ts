/** Calls over windows: bits of the reference for every geometry, independent images, argmax indices. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConvolutionCall, HostBackend, KernelCall, Storage } from '../src/backend.ts';
import { createCpuBackend } from '../src/backends/cpu/cpu-backend.ts';
import { createReferenceBackend } from '../src/backends/reference.ts';
import { averagePool2d, fromArray, maxPool2d } from '../src/index.ts';
import { imageSize, type Windows, windowCount, windowsOver } from '../src/shape.ts';
import { bitsOf, randomValues } from './support.ts';

const cpu = await createCpuBackend();
const reference = createReferenceBackend();

/** Runs a call twice over `inputs`, with outputs of the given lengths that initially hold garbage. */
function run(
  backend: HostBackend,
  inputs: readonly Float32Array[],
  lengths: readonly number[],
  callOn: (...storages: [Storage, Storage, Storage, Storage]) => KernelCall,
): Float32Array[] {
  const filled = (values: Float32Array): Storage => {
    const storage = backend.allocate(values.length);
    backend.upload(storage, values);
    return storage;
  };
  const given = inputs.map(filled);
  const made = lengths.map((length) => filled(new Float32Array(length).fill(Number.NaN)));
  const program = backend.prepare([callOn(...([...given, ...made] as [Storage, Storage, Storage, Storage]))]);
  program.run();
  program.run();
  const results = made.map((storage) => backend.view(storage).slice());
  program.dispose();
  for (const storage of [...given, ...made]) backend.free(storage);
  return results;
}

const results = ['output', 'inputGradient', 'kernelGradient'] as const;

interface Convolution {
  readonly result: ConvolutionCall['result'];
  readonly windows: Windows;
  readonly filters: number;
}

/** Returns the numbers of values in the left operand, the right operand and the output. */
function sizesOf({ result, windows, filters }: Convolution): [number, number, number] {
  const images = imageSize(windows);
  const kernel = windows.windowHeight * windows.windowWidth * windows.channels * filters;
  const outputs = windowCount(windows) * filters;
  switch (result) {
    case 'output':
      return [images, kernel, outputs];
    case 'inputGradient':
      return [outputs, kernel, images];
    case 'kernelGradient':
      return [images, outputs, kernel];
  }
}

function convolve(
  backend: HostBackend,
  of: Convolution,
  ...operands: readonly [Float32Array, Float32Array]
): Float32Array {
  return run(backend, operands, [sizesOf(of)[2]], (left, right, output) => {
    return { kind: 'convolution', ...of, left, right, output };
  })[0]!;
}

/** Returns random left and right operands. */
function operandsFor(of: Convolution, seed: number): [Float32Array, Float32Array] {
  const [left, right] = sizesOf(of);
  return [randomValues(left, seed), randomValues(right, seed + 1)];
}

/** Expects cpu to have the bits of the reference for random operands. */
function expectReference(of: Convolution, seed: number): void {
  const operands = operandsFor(of, seed);
  expect(bitsOf(convolve(cpu, of, ...operands))).toEqual(bitsOf(convolve(reference, of, ...operands)));
}

const length = fc.integer({ min: 1, max: 9 });
const channels = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom(8, 16, 19));
/** Images and windows of any shape, such that at least one window fits. */
const geometry = fc
  .record({
    shape: fc.tuple(fc.integer({ min: 0, max: 3 }), length, length, channels),
    window: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    padding: fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 })),
  })
  .filter(({ shape, window, padding }) => window.every((size, axis) => size <= shape[1 + axis]! + 2 * padding[axis]!));

describe('convolution on cpu', () => {
  it.each(results)('has the bits of the reference for any geometry: %s', (result) => {
    fc.assert(
      fc.property(geometry, channels, fc.nat(), ({ shape, window, ...options }, filters, seed) => {
        expectReference({ result, windows: windowsOver('test', shape, window, options), filters }, seed);
      }),
      { numRuns: 150, seed: 12 },
    );
  });

  it.each(results)('has the bits of the reference at the size of real work: %s', (result) => {
    for (const [shape, window, filters] of [
      [[3, 28, 28, 1], 3, 16],
      [[2, 14, 14, 16], 3, 32],
      [[2, 12, 12, 20], 5, 10],
    ] as const) {
      expectReference({ result, windows: windowsOver('test', shape, window, { padding: 1 }), filters }, 5);
    }
  });

  it.each(['inputGradient', 'kernelGradient'] as const)(
    'skips the zeros of a gradient with the bits of the reference, unless what they meet is not finite: %s',
    (result) => {
      const sparse = fc.record({
        shape: fc.tuple(fc.constant(4), fc.integer({ min: 9, max: 13 }), fc.integer({ min: 9, max: 13 }), channels),
        window: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5 })),
        stride: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
        padding: fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })),
        filters: fc.constantFrom(15, 16, 35),
        density: fc.constantFrom(0, 0.02, 0.2, 0.3),
        special: fc.constantFrom(0, Number.NaN, Number.POSITIVE_INFINITY),
        specialPart: fc.constantFrom('gradient', 'other'),
      });
      fc.assert(
        fc.property(sparse, fc.nat(), ({ shape, window, filters, density, special, specialPart, ...options }, seed) => {
          const of = { result, windows: windowsOver('test', shape, window, options), filters };
          const [left, right] = sizesOf(of);
          const isLeft = result === 'inputGradient';
          const gradient = randomValues(isLeft ? left : right, seed, density);
          const other = randomValues(isLeft ? right : left, seed + 1);
          const poisoned = specialPart === 'gradient' ? gradient : other;
          if (special !== 0 && poisoned.length > 0) poisoned[seed % poisoned.length] = special;
          const operands = isLeft ? ([gradient, other] as const) : ([other, gradient] as const);
          expect(convolve(cpu, of, ...operands)).toEqual(convolve(reference, of, ...operands));
        }),
        { numRuns: 120, seed: 13 },
      );
    },
  );

  it.each(['output', 'inputGradient'] as const)(
    'gives an image the same bits whatever the others are: %s',
    (result) => {
      const [images, filters] = [5, 6];
      const ofImages = (count: number): Convolution => ({
        result,
        windows: windowsOver('test', [count, 6, 7, 3], 3, { padding: 1, stride: 2 }),
        filters,
      });
      const [left, , output] = sizesOf(ofImages(images));
      const operands = operandsFor(ofImages(images), 7);
      const together = convolve(cpu, ofImages(images), ...operands);
      for (let image = 0; image < images; image++) {
        const own = operands[0].slice((image * left) / images, ((image + 1) * left) / images);
        const alone = convolve(cpu, ofImages(1), own, operands[1]);
        const [from, to] = [(image * output) / images, ((image + 1) * output) / images];
        expect(bitsOf(alone)).toEqual(bitsOf(together.subarray(from, to)));
      }
    },
  );

  it.each(results)('a value that is not finite reaches what it touches, and nothing else: %s', (result) => {
    const special = fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN);
    fc.assert(
      fc.property(geometry, channels, special, fc.nat(), ({ shape, window, ...options }, filters, poison, seed) => {
        const of = { result, windows: windowsOver('test', shape, window, options), filters };
        const operands = operandsFor(of, seed);
        const poisoned = operands[seed % 2]!;
        if (poisoned.length === 0) return;
        const withValue = (value: number, backend: HostBackend): Float32Array => {
          poisoned[(seed >> 1) % poisoned.length] = value;
          return convolve(backend, of, ...operands);
        };
        // Random values are not 0, so every result that depends on the value changes with it.
        const [one, three] = [withValue(1, reference), withValue(3, reference)];
        const expected = one.map((value, index) => (value === three[index] ? value : poison));
        for (const backend of [reference, cpu]) {
          const got = withValue(poison, backend).map((value) => (Number.isFinite(value) ? value : poison));
          expect(bitsOf(got)).toEqual(bitsOf(expected));
        }
      }),
      { numRuns: 150, seed: 14 },
    );
  });

  it('adds the bias and applies relu if a weight is not finite', () => {
    const windows = windowsOver('test', [1, 2, 2, 1], 2, { padding: 1 });
    const kernel = [Infinity, -2, 0, -2, 0, -2, 0, -2];
    for (const backend of [reference, cpu]) {
      const [output] = run(
        backend,
        [new Float32Array(4).fill(1), Float32Array.from(kernel), Float32Array.of(-1, 3)],
        [18],
        (left, right, bias, output) => {
          const epilogue = { bias, relu: true };
          return { kind: 'convolution', result: 'output', windows, filters: 2, left, right, output, epilogue };
        },
      );
      // Nine windows of two filters.
      const rows = [0, 1, 0, 0, 0, 1, 0, 0, Infinity, 0, Infinity, 0, 0, 1, Infinity, 0, Infinity, 1];
      expect([...output!]).toEqual(rows);
    }
  });
});

describe('pooling', () => {
  const pooled = geometry.filter(({ window, padding }) => window.every((size, axis) => 2 * padding[axis]! <= size));
  /** Returns few different values, so that ties are common. */
  const coarse = (count: number, seed: number): Float32Array => randomValues(count, seed).map((x) => Math.round(3 * x));
  const max = (backend: HostBackend, windows: Windows, images: Float32Array): Float32Array[] => {
    const size = windowCount(windows) * windows.channels;
    return run(backend, [images], [size, size], (input, output, argmaxIndices) => {
      return { kind: 'pool', reduction: 'max', windows, input, output, argmaxIndices };
    });
  };

  it('has the bits of the reference for any geometry', () => {
    fc.assert(
      fc.property(pooled, fc.nat(), ({ shape, window, ...options }, seed) => {
        const windows = windowsOver('test', shape, window, options);
        const [count, values] = [imageSize(windows), windowCount(windows) * windows.channels];
        const images = coarse(count, seed);
        const [best, argmaxIndices] = max(reference, windows, images) as [Float32Array, Float32Array];
        expect(max(cpu, windows, images)).toEqual([best, argmaxIndices]);
        const gradient = randomValues(values, seed + 1);
        const sum = (backend: HostBackend): Float32Array[] =>
          run(backend, [images], [values], (input, output) => {
            return { kind: 'pool', reduction: 'sum', windows, input, output };
          });
        const shared = (backend: HostBackend): Float32Array[] =>
          run(backend, [gradient], [count], (input, output) => ({ kind: 'unpool', windows, input, output }));
        const won = (backend: HostBackend): Float32Array[] =>
          run(backend, [gradient, argmaxIndices], [count], (input, argmaxIndices, output) => {
            return { kind: 'unpool', windows, input, argmaxIndices, output };
          });
        for (const compute of [sum, shared, won]) {
          expect(compute(cpu).map(bitsOf)).toEqual(compute(reference).map(bitsOf));
        }
      }),
      { numRuns: 200, seed: 13 },
    );
  });

  it.each([
    ['reference', reference],
    ['cpu', cpu],
  ] as const)('gives ties to the first place, and everything to the first NaN: %s', (_, backend) => {
    const windows = windowsOver('test', [1, 2, 8, 1], 2, { stride: 2 });
    const rows = [3, 3, -1, 0, -Infinity, -Infinity, 5, NaN, 3, 3, -0, -2, -Infinity, -Infinity, NaN, 9];
    const images = Float32Array.from(rows);
    expect(max(backend, windows, images)).toEqual([Float32Array.of(3, 0, -Infinity, NaN), Float32Array.of(0, 1, 0, 1)]);
  });

  it('refuses windows that could cover padding alone, and storages that are too short', () => {
    const windows = windowsOver('test', [1, 4, 4, 1], 2, { padding: 2 });
    const storage = cpu.allocate(16);
    const call = { kind: 'pool', reduction: 'sum', input: storage, output: storage } as const;
    expect(() => cpu.prepare([{ ...call, windows }])).toThrow('pool: a window of 2 x 2 could cover padding alone');
    const many = windowsOver('test', [2, 4, 4, 1], 2, {});
    expect(() => cpu.prepare([{ ...call, windows: many }])).toThrow('pool: the input needs 32 values');
    const convolution = { kind: 'convolution', result: 'output', windows: many, filters: 1 } as const;
    expect(() => cpu.prepare([{ ...convolution, left: storage, right: storage, output: storage }])).toThrow(
      'convolution: the left operand needs 32 values, but its storage has 16',
    );
    cpu.free(storage);
  });

  it('strides by the window by default', () => {
    const images = fromArray(cpu, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 4, 1]);
    expect([...cpu.view(maxPool2d(images, 2).storage)]).toEqual([6, 8]);
    expect([...cpu.view(averagePool2d(images, [2, 1]).storage)]).toEqual([3, 4, 5, 6]);
  });
});

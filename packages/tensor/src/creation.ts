/** Creates tensors from a shape and a constant, a range, or seeded random numbers. */
import { backendKind, checkArgument, checkOptions, checkWord, number } from './arguments.ts';
import { mapViews } from './autograd.ts';
import type { Backend } from './backend.ts';
import { constant } from './formula.ts';
import { normalQuantile, philox, unitFloat } from './random.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { fromArray, type LeafOptions, leafOptions, type Tensor } from './tensor.ts';

/** Creates a tensor filled with `value`. */
export function full(backend: Backend, shape: Shape, value: number, options: LeafOptions = {}): Tensor {
  checkArgument('full', 'the value', value, number);
  return filled('full', backend, shape, value, options);
}

function filled(operation: string, backend: Backend, shape: Shape, value: number, options: LeafOptions): Tensor {
  checkArgument(operation, 'the backend', backend, backendKind);
  checkShape(operation, shape);
  checkOptions(operation, options, leafOptions);
  const result = mapViews(backend, constant(value), shape, []);
  result.requiresGrad = options.requiresGrad ?? false;
  return result;
}

/** Creates a tensor of zeros. */
export function zeros(backend: Backend, shape: Shape, options: LeafOptions = {}): Tensor {
  return filled('zeros', backend, shape, 0, options);
}

/** Creates a tensor of ones. */
export function ones(backend: Backend, shape: Shape, options: LeafOptions = {}): Tensor {
  return filled('ones', backend, shape, 1, options);
}

/** Creates a tensor of `start`, `start + step`, … before `end`: `arange(backend, 3) -> [0, 1, 2]`. */
export function arange(backend: Backend, end: number, options: { start?: number; step?: number } = {}): Tensor {
  checkArgument('arange', 'the backend', backend, backendKind);
  checkArgument('arange', 'the end', end, number);
  checkOptions('arange', options, { start: number, step: number });
  const { start = 0, step = 1 } = options;
  const length = Math.max(0, Math.ceil((end - start) / step));
  if (![start, end, length].every(Number.isFinite) || step === 0) {
    throw new RangeError(
      `arange: start, end and step must be finite and the step not 0, got ${start}, ${end}, ${step}`,
    );
  }
  checkShape('arange', [length]);
  return fromArray(
    backend,
    Float32Array.from({ length }, (_, index) => start + index * step),
  );
}

interface UniformOptions extends LeafOptions {
  readonly low?: number;
  readonly high?: number;
}

/**
 * Draws values uniformly from [low, high), by default [0, 1).
 * Equal seeds give equal bits on every machine.
 */
export function uniform(backend: Backend, shape: Shape, seed: number, options: UniformOptions = {}): Tensor {
  checkOptions('uniform', options, { ...leafOptions, low: number, high: number });
  const { low = 0, high = 1, ...leaf } = options;
  const values = drawn('uniform', 1, backend, shape, seed, (word) => low + (high - low) * unitFloat(word));
  return fromArray(backend, values, shape, leaf);
}

interface NormalOptions extends LeafOptions {
  readonly mean?: number;
  readonly standardDeviation?: number;
}

/**
 * Draws values from a normal distribution, by default the standard one.
 * Equal seeds give equal bits on every machine.
 */
export function normal(backend: Backend, shape: Shape, seed: number, options: NormalOptions = {}): Tensor {
  checkOptions('normal', options, { ...leafOptions, mean: number, standardDeviation: number });
  const { mean = 0, standardDeviation = 1, ...leaf } = options;
  const quantile = (word: number): number => normalQuantile((word + 0.5) * 2 ** -32);
  const values = drawn('normal', 2, backend, shape, seed, (word) => mean + standardDeviation * quantile(word));
  return fromArray(backend, values, shape, leaf);
}

/** Maps successive words of the distribution's own Philox stream to values. */
function drawn(
  operation: string,
  distribution: number,
  backend: Backend,
  shape: Shape,
  seed: number,
  toValue: (word: number) => number,
): Float32Array {
  checkArgument(operation, 'the backend', backend, backendKind);
  checkShape(operation, shape);
  checkWord(operation, 'seed', seed);
  const words = new Uint32Array(4);
  return new Float32Array(sizeOf(shape)).map((_, index) => {
    const block = Math.floor(index / 4);
    if (index % 4 === 0) philox(words, [block % 2 ** 32, Math.floor(block / 2 ** 32), 0, distribution], [seed, 0]);
    return toValue(words[index % 4]!);
  });
}

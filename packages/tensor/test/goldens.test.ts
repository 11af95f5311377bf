/** Ops on every backend compared with PyTorch, forward and backward (`goldens/make_*goldens.py`). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../src/index.ts';
import * as tensor from '../src/index.ts';
import { openAll } from './support.ts';

type Numbers = readonly (number | 'NaN' | 'Infinity' | '-Infinity')[];

interface Values {
  readonly shape: number[];
  readonly values: Numbers;
}

/** Error that float32 rounding explains: relative to the value plus relative to the largest value, but at least `least`. */
type Tolerance = readonly [relative: number, relativeToLargest: number, least?: number];

interface Golden {
  readonly operation: string;
  readonly options: unknown;
  readonly inputs: readonly Values[];
  readonly output: Values;
  readonly gradients?: Readonly<Record<string, Numbers>>;
  /** Weights of the sum whose gradient PyTorch computed; by default those of make_goldens.py. */
  readonly weights?: readonly number[];
  readonly tolerance?: Tolerance;
}

/** A convolution, or pooling under a window. */
interface WindowGolden {
  readonly kind?: string;
  readonly images: Values;
  readonly kernel?: Values;
  readonly window?: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly outputShape: number[];
  readonly output: Numbers;
  readonly weights: readonly number[];
  readonly imageGradient: Numbers;
  readonly kernelGradient?: Numbers;
}

/** An elementwise op at infinities, near overflow and at subnormals, in float64. */
interface ExtremeGolden {
  readonly arguments: readonly Numbers[];
  readonly values: Numbers;
  /** With respect to each argument. */
  readonly derivatives: readonly Numbers[];
}

/** Options of goldens at extremes; the name ends in a variant. */
const extremeOptions: Readonly<Record<string, object>> = {
  'gelu tanh': { approximate: 'tanh' },
  clamp: { low: -0.25, high: 1e12 },
};

/** Absolute tolerances: derivatives of saturating functions use their outputs, which float32 rounds near 1. */
const absolute: Readonly<Record<string, number>> = { tanh: 2 ** -23, sigmoid: 2 ** -23 };

function readGoldens<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../goldens/${name}.json`, import.meta.url), 'utf8')) as Content;
}

const { convolutions, pools } = readGoldens<Record<'convolutions' | 'pools', readonly WindowGolden[]>>('conv');

const goldens: readonly Golden[] = [
  ...readGoldens<readonly Golden[]>('operations'),
  ...[...convolutions, ...pools].map(
    ({ kind = 'conv2d', images, kernel, window, stride, padding, outputShape, output, ...golden }): Golden => ({
      operation: kind,
      options: { stride, padding, ...(window && { window }) },
      inputs: kernel ? [images, kernel] : [images],
      output: { shape: outputShape, values: output },
      gradients: { 0: golden.imageGradient, ...(golden.kernelGradient && { 1: golden.kernelGradient }) },
      weights: golden.weights,
      tolerance: [0, 2e-6],
    }),
  ),
  ...Object.entries(readGoldens<Readonly<Record<string, ExtremeGolden>>>('extremes')).map(
    ([name, { arguments: given, values, derivatives }]): Golden => {
      const shape = [values.length];
      return {
        operation: name.split(' ')[0]!,
        options: extremeOptions[name] ?? null,
        inputs: given.map((each) => ({ shape, values: each })),
        output: { shape, values },
        gradients: Object.fromEntries(derivatives.entries()),
        weights: values.map(() => 1),
        tolerance: [5e-6, 0, absolute[name] ?? 2 ** -149],
      };
    },
  ),
];
const backends = await openAll();

type AnyOperation = (...given: unknown[]) => Tensor;

/** Ops whose arguments are not simply the operands followed by the options. */
const adapted: Readonly<Record<string, (inputs: readonly Tensor[], options: never) => Tensor>> = {
  concat: (inputs, axis: number) => tensor.concat(inputs, axis),
  stack: (inputs, axis: number) => tensor.stack(inputs, axis),
  transpose: ([x], axes: [number, number]) => tensor.transpose(x!, ...axes),
  pad: ([x], { amounts, value }: { amounts: [number, number][]; value: number }) => tensor.pad(x!, amounts, value),
  gather: ([x, indices], axis: number) => tensor.gather(x!, axis, indices!),
  maxPool2d: ([x], { window, ...options }: PoolOptions) => tensor.maxPool2d(x!, window, options),
  averagePool2d: ([x], { window, ...options }: PoolOptions) => tensor.averagePool2d(x!, window, options),
};

type PoolOptions = tensor.WindowOptions & { readonly window: tensor.Pair };

function compute({ operation, options }: Golden, inputs: readonly Tensor[]): Tensor {
  const special = adapted[operation];
  if (special !== undefined) return special(inputs, options as never);
  const plain = (tensor as unknown as Record<string, AnyOperation>)[operation]!;
  return options === null ? plain(...inputs) : plain(...inputs, options);
}

function defaultWeights(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, index) => (((index * 7) % 11) - 5) / 4 + 0.1875);
}

function expectClose(
  computed: Float32Array,
  golden: Numbers,
  what: string,
  [relative, relativeToLargest, least = 1e-38]: Tolerance,
): void {
  const expected = golden.map(Number);
  expect(computed.length, what).toBe(expected.length);
  const largest = Math.max(0, ...expected.map(Math.abs).filter(Number.isFinite));
  expected.forEach((value, index) => {
    const got = computed[index]!;
    const allowed = Math.max(least, relative * Math.abs(value) + relativeToLargest * Math.min(largest, 1e3));
    const close = Number.isFinite(value) ? Math.abs(got - value) <= allowed : Object.is(got, value);
    expect(close, `${what}, value ${index}: expected ${value}, got ${got}`).toBe(true);
  });
}

describe.each(backends)('$name', (backend) => {
  it.each(
    goldens.map((golden, index) => {
      const shapes = golden.inputs.map(({ shape }) => `[${shape}]`).join(' ');
      return [`${index} ${golden.operation} ${shapes} ${JSON.stringify(golden.options)}`, golden] as const;
    }),
  )('%s', (_label, golden) => {
    const { tolerance = [5e-6, 1e-6] } = golden;
    tensor.tidy(() => {
      const inputs = golden.inputs.map(({ shape, values }, index) =>
        tensor.fromArray(backend, values.map(Number), shape, {
          requiresGrad: golden.gradients?.[index] !== undefined,
        }),
      );
      const output = compute(golden, inputs);
      expect(output.shape).toEqual(golden.output.shape);
      expectClose(backend.view(output.storage), golden.output.values, 'the result', tolerance);
      if (golden.gradients === undefined) return;
      const weights = tensor.fromArray(backend, golden.weights ?? defaultWeights(output.size), output.shape);
      tensor.sum(tensor.mul(output, weights)).backward();
      for (const [position, gradient] of Object.entries(golden.gradients)) {
        const { grad } = inputs[Number(position)]!;
        expect(grad!.shape).toEqual(inputs[Number(position)]!.shape);
        expectClose(backend.view(grad!.storage), gradient, `gradient ${position}`, tolerance);
        grad!.dispose();
      }
    });
  });
});

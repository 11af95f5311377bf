/** Ops on every backend compared with PyTorch, forward and backward (`goldens/make_goldens.py`). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Operand, Tensor } from '../src/index.ts';
import * as tensor from '../src/index.ts';
import { openAll } from './support.ts';

type Numbers = readonly (number | 'NaN' | 'Infinity' | '-Infinity')[];

interface Golden {
  readonly operation: string;
  readonly options: unknown;
  readonly inputs: readonly { readonly shape: number[]; readonly values: Numbers }[];
  readonly output: { readonly shape: number[]; readonly values: Numbers };
  readonly gradients?: Readonly<Record<string, Numbers>>;
}

const goldens = JSON.parse(
  readFileSync(new URL('../goldens/operations.json', import.meta.url), 'utf8'),
) as readonly Golden[];
const backends = await openAll();

type AnyOperation = (...given: unknown[]) => Tensor;

/** Ops whose arguments are not simply the operands followed by the options. */
const adapted: Readonly<Record<string, (inputs: readonly Tensor[], options: never) => Tensor>> = {
  concat: (inputs, axis: number) => tensor.concat(inputs, axis),
  stack: (inputs, axis: number) => tensor.stack(inputs, axis),
  transpose: ([x], axes: [number, number]) => tensor.transpose(x!, ...axes),
  pad: ([x], { amounts, value }: { amounts: [number, number][]; value: number }) => tensor.pad(x!, amounts, value),
  gather: ([x, indices], axis: number) => tensor.gather(x!, axis, indices!),
};

function compute({ operation, options }: Golden, inputs: readonly Tensor[]): Tensor {
  const special = adapted[operation];
  if (special !== undefined) return special(inputs, options as never);
  const plain = (tensor as unknown as Record<string, AnyOperation>)[operation]!;
  return options === null ? plain(...inputs) : plain(...inputs, options);
}

/** Returns the weights of the sum whose gradient PyTorch computed. */
function weights(backend: tensor.Backend, shape: readonly number[]): Operand {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: size }, (_, index) => (((index * 7) % 11) - 5) / 4 + 0.1875);
  return tensor.fromArray(backend, values, shape);
}

/** Maximum error from float32 rounding, relative to the value and to the largest value of the same result. */
const [relative, besideLargest] = [5e-6, 1e-6];

function expectClose(computed: Float32Array, golden: Numbers, what: string): void {
  const expected = golden.map(Number);
  expect(computed.length, what).toBe(expected.length);
  const largest = Math.max(0, ...expected.map(Math.abs).filter(Number.isFinite));
  expected.forEach((value, index) => {
    const got = computed[index]!;
    const allowed = relative * Math.abs(value) + besideLargest * Math.min(largest, 1e3) + 1e-38;
    const close = Number.isFinite(value) ? Math.abs(got - value) <= allowed : Object.is(got, value);
    expect(close, `${what}, value ${index}: expected ${value}, got ${got}`).toBe(true);
  });
}

describe.each(backends.map((backend) => [backend.name, backend] as const))('%s', (_, backend) => {
  it.each(
    goldens.map((golden, index) => {
      const shapes = golden.inputs.map(({ shape }) => `[${shape}]`).join(' ');
      return [`${index} ${golden.operation} ${shapes} ${JSON.stringify(golden.options)}`, golden] as const;
    }),
  )('%s', (_label, golden) => {
    tensor.tidy(() => {
      const inputs = golden.inputs.map(({ shape, values }, index) =>
        tensor.fromArray(backend, values.map(Number), shape, {
          requiresGrad: golden.gradients?.[index] !== undefined,
        }),
      );
      const output = compute(golden, inputs);
      expect(output.shape).toEqual(golden.output.shape);
      expectClose(backend.view(output.storage), golden.output.values, 'the result');
      if (golden.gradients === undefined) return;
      tensor.sum(tensor.mul(output, weights(backend, output.shape))).backward();
      for (const [position, gradient] of Object.entries(golden.gradients)) {
        const { grad } = inputs[Number(position)]!;
        expect(grad!.shape).toEqual(inputs[Number(position)]!.shape);
        expectClose(backend.view(grad!.storage), gradient, `gradient ${position}`);
        grad!.dispose();
      }
    });
  });
});

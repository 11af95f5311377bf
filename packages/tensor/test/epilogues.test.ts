/** Epilogues, and factors of sums: the remaining calls, the bits of fused calls, and calls that must not be fused. */
import { describe, expect, it } from 'vitest';
import {
  add,
  compile,
  conv2d,
  fromArray,
  type HostBackend,
  matmul,
  mul,
  relu,
  reshape,
  type Shape,
  sum,
  type Tensor,
  tidy,
  valueAndGrad,
} from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { bitsOf, openAll, randomValues } from './support.ts';

const backends = await openAll();

interface Given {
  readonly shape: Shape;
  readonly density?: number;
}

/** Compiles the body, checks that it has the bits of eager execution, and returns the kinds of its calls. */
function callsOf(
  backend: HostBackend,
  given: readonly Given[],
  body: (...tensors: Tensor[]) => Tensor | readonly Tensor[],
): readonly string[] {
  const inputs = given.map(({ shape, density }, index) =>
    fromArray(backend, randomValues(sizeOf(shape), 41 + index, density), shape),
  );
  const read = (tensor: Tensor): Uint32Array => bitsOf(backend.view(tensor.storage));
  const eager = tidy(() => [body(...inputs)].flat().map((tensor) => read(tensor as Tensor)));
  const plan = compile(backend, body, inputs);
  for (let run = 0; run < 2; run++) {
    plan.run();
    expect(plan.outputs.map(read)).toEqual(eager);
  }
  const { calls } = plan;
  plan.dispose();
  for (const tensor of inputs) tensor.dispose();
  return calls;
}

describe.each(backends)('$name', (backend) => {
  it.each([
    [[64, 784], [784, 128], 0.19],
    [[33, 70], [70, 24], 1],
    [[7, 500], [500, 10], 1],
    [[40, 60], [60, 19], 0.1],
    [[1, 1], [1, 1], 1],
    [[5, 0], [0, 9], 1],
    [[0, 3], [3, 4], 1],
  ] as const)('a product %s x %s of density %f takes bias and relu', (left, right, density) => {
    const given = [{ shape: left, density }, { shape: right }, { shape: [right[1]] }];
    expect(callsOf(backend, given, (x, w, b) => relu(add(matmul(x!, w!), b!)))).toEqual(['matmul']);
    expect(callsOf(backend, given, (x, w, b) => add(b!, matmul(x!, w!)))).toEqual(['matmul']);
    expect(callsOf(backend, given, (x, w) => relu(matmul(x!, w!)))).toEqual(['matmul']);
  });

  it.each([
    { shape: [0], axes: [0] },
    { shape: [1], axes: [0] },
    { shape: [7], axes: [0] },
    { shape: [16], axes: [0] },
    { shape: [30], axes: [0] },
    { shape: [65_536], axes: [0] },
    { shape: [65_537], axes: [0] },
    { shape: [70_001], axes: [0] },
    { shape: [5, 31], axes: [1] },
    { shape: [3, 70_003], axes: [1] },
    { shape: [12, 29], axes: [0, 1], microbatches: 4 },
    { shape: [40], axes: [0], microbatches: 5 },
    { shape: [3, 4, 25], axes: [1, 2] },
  ])('a sum of products $shape over axes $axes multiplies its terms', ({ shape, axes, microbatches }) => {
    const options = microbatches === undefined ? { axes } : { axes, microbatches };
    const given = [{ shape }, { shape }];
    expect(callsOf(backend, given, (x, y) => sum(mul(x!, y!), options))).toEqual(['reduce']);
    expect(callsOf(backend, given, (x) => sum(mul(x!, x!), options))).toEqual(['reduce']);
  });

  it('a sum leaves other maps alone: a broadcast, three factors, products of columns or that are read elsewhere', () => {
    const given = [{ shape: [6, 5] }, { shape: [5] }];
    const kinds = ['map', 'reduce'];
    expect(callsOf(backend, given, (x, y) => sum(mul(x!, y!)))).toEqual(kinds);
    expect(callsOf(backend, given, (x) => sum(mul(x!, 3)))).toEqual(kinds);
    expect(callsOf(backend, given, (x) => sum(mul(mul(x!, x!), x!)))).toEqual(kinds);
    expect(callsOf(backend, given, (x) => sum(add(x!, x!)))).toEqual(kinds);
    expect(callsOf(backend, given, (x) => sum(mul(x!, x!), { axes: [0] }))).toEqual(kinds);
    const both = callsOf(backend, given, (x) => {
      const squares = mul(x!, x!);
      return [sum(squares), squares];
    });
    expect(both).toEqual(kinds);
  });

  it('a convolution takes bias and relu', () => {
    for (const filters of [1, 8, 13]) {
      const given = [{ shape: [2, 6, 7, 3] }, { shape: [3, 3, 3, filters] }, { shape: [filters] }];
      const options = { padding: 1 };
      expect(callsOf(backend, given, (x, w, b) => relu(add(conv2d(x!, w!, options), b!)))).toEqual(['convolution']);
      expect(callsOf(backend, given, (x, w, b) => add(conv2d(x!, w!, options), b!))).toEqual(['convolution']);
      expect(callsOf(backend, given, (x, w) => relu(conv2d(x!, w!, options)))).toEqual(['convolution']);
    }
  });

  it('goes on through a whole gradient', () => {
    const given = [
      { shape: [4, 5, 5, 1] },
      { shape: [3, 3, 1, 6] },
      { shape: [6] },
      { shape: [54, 3] },
      { shape: [3] },
    ];
    const calls = callsOf(backend, given, (x, ...parameters) => {
      const loss = (k: Tensor, a: Tensor, w: Tensor, b: Tensor): Tensor => {
        const features = reshape(relu(add(conv2d(x!, k), a)), [4, 54]);
        const scores = relu(add(matmul(features, w), b));
        return sum(mul(scores, scores));
      };
      const { value, gradients } = valueAndGrad(loss as (...tensors: Tensor[]) => Tensor, parameters);
      return [value, ...gradients];
    });
    expect(calls.slice(0, 2)).toEqual(['convolution', 'matmul']);
  });

  it('leaves alone what is wanted or read elsewhere, and what is no row', () => {
    const given = [{ shape: [4, 5] }, { shape: [5, 4] }, { shape: [4] }, { shape: [4, 1] }];
    const wanted = callsOf(backend, given, (x, w, b) => {
      const product = matmul(x!, w!);
      return [product, relu(add(product, b!))];
    });
    expect(wanted).toEqual(['matmul', 'map']);
    const twice = callsOf(backend, given, (x, w, b) => {
      const product = matmul(x!, w!);
      return [relu(add(product, b!)), sum(product)];
    });
    expect(twice).toContain('map');
    expect(callsOf(backend, given, (x, w, _b, column) => add(matmul(x!, w!), column!))).toEqual(['matmul', 'map']);
    expect(callsOf(backend, given, (x, w) => add(matmul(x!, w!), 1))).toEqual(['matmul', 'map']);
    expect(callsOf(backend, given, (x, w, b) => add(reshape(matmul(x!, w!), [2, 2, 4]), b!))).toEqual(['matmul']);
    const pairs = [...given, { shape: [2] }];
    expect(callsOf(backend, pairs, (x, w, _b, _c, pair) => add(reshape(matmul(x!, w!), [8, 2]), pair!))).toEqual([
      'matmul',
      'map',
    ]);
  });

  it('refuses an epilogue on a gradient, and a bias that is too short', () => {
    const storage = backend.allocate(4);
    const three = { left: storage, right: storage, output: backend.slice(storage, 0, 4) };
    const product = { kind: 'matmul', m: 2, k: 2, n: 2 } as const;
    const bias = backend.slice(storage, 0, 1);
    expect(() => backend.prepare([{ ...product, ...three, epilogue: { bias, relu: false } }])).toThrow(
      'matmul: the bias needs 2 values, but its storage has 1',
    );
    const windows = {
      ...{ images: 1, height: 2, width: 2, channels: 1, windowHeight: 1, windowWidth: 1, strideHeight: 1 },
      ...{ strideWidth: 1, paddingHeight: 0, paddingWidth: 0, outputHeight: 2, outputWidth: 2 },
    };
    const gradient = { kind: 'convolution', result: 'kernelGradient', windows, filters: 1 } as const;
    expect(() => backend.prepare([{ ...gradient, ...three, epilogue: { relu: true } }])).toThrow(
      'convolution: only the output takes an epilogue, not the kernelGradient',
    );
    backend.free(storage);
  });
});

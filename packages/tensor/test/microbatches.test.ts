/** Sums per microbatch have the bits of each microbatch summed separately and added by a fixed binary tree. */
import { describe, expect, it, vi } from 'vitest';
import { additionsAfter } from '../src/backends/calls.ts';
import {
  abs,
  add,
  compile,
  conv2d,
  crossEntropy,
  fromArray,
  greater,
  indexSelect,
  layerNorm,
  matmul,
  mul,
  openBackend,
  permute,
  relu,
  reshape,
  type Shape,
  slice,
  softmax,
  softmaxCrossEntropy,
  sum,
  type Tensor,
  tanh,
  tidy,
  valueAndGrad,
} from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { addedInPairs, bitsOf, foldInPairs, openAll, randomValues, valuesIn } from './support.ts';

const { backend: reference } = await openBackend('reference');
const backends = await openAll();

it('adds the terms of a stack as the tree of pairs does, for any number of terms', () => {
  const sum = (left: string, right: string): string => `(${left} + ${right})`;
  for (let count = 1; count <= 130; count++) {
    const terms = Array.from({ length: count }, (_, index) => String(index));
    const stack: string[] = [];
    terms.forEach((term, index) => {
      stack.push(term);
      for (let additions = additionsAfter(index, count); additions > 0; additions--) {
        const [left, right] = stack.splice(-2) as [string, string];
        stack.push(sum(left, right));
      }
    });
    expect(stack).toEqual([foldInPairs(terms, sum)]);
  }
});

interface Model {
  readonly title: string;
  /** Shape of a sample. */
  readonly sample: Shape;
  /** Number of labels of a sample, which are class indices below 4. */
  readonly labels: number;
  readonly parameters: readonly Shape[];
  /** Losses of the samples. */
  losses(samples: Tensor, labels: Tensor, parameters: readonly Tensor[]): Tensor;
}

const models: readonly Model[] = [
  {
    title: 'a convolution and two dense layers',
    sample: [5, 5, 2],
    labels: 1,
    parameters: [[3, 3, 2, 3], [3], [75, 9], [9], [9, 4], [4]],
    losses(x, labels, [kernel, offset, w1, b1, w2, b2]) {
      const features = relu(add(conv2d(x, kernel!, { padding: 1 }), offset!));
      const hidden = relu(add(matmul(reshape(features, [x.shape[0]!, 75]), w1!), b1!));
      return softmaxCrossEntropy(add(matmul(hidden, w2!), b2!), reshape(labels, [x.shape[0]!]));
    },
  },
  {
    title: 'weights used five times, and a kernel used twice',
    sample: [5, 5, 2],
    labels: 1,
    parameters: [[3, 3, 2, 2], [50, 50], [50], [50, 4]],
    losses(x, labels, [kernel, weight, bias, output]) {
      const conv = (images: Tensor): Tensor => conv2d(images, kernel!, { padding: 1 });
      let state = reshape(conv(relu(conv(x))), [x.shape[0]!, 50]);
      for (let use = 0; use < 5; use++) state = tanh(add(matmul(state, weight!), bias!));
      return softmaxCrossEntropy(matmul(state, output!), reshape(labels, [x.shape[0]!]));
    },
  },
  {
    title: 'attention with a tied embedding',
    sample: [6],
    labels: 6,
    parameters: [[4, 8], [6, 8], [8, 24], [24], [8], [8]],
    losses(x, labels, [embedding, positions, weight, bias, scale, offset]) {
      const count = x.shape[0]!;
      const tokens = add(greater(x, 0), add(greater(x, -0.5), greater(x, 0.5)));
      const embedded = add(indexSelect(embedding!, tokens), positions!);
      const normal = (values: Tensor): Tensor => add(mul(layerNorm(values), scale!), offset!);
      const heads = reshape(add(matmul(normal(embedded), weight!), bias!), [count, 6, 3, 2, 4]);
      const part = (index: number): Tensor =>
        reshape(permute(slice(heads, [{}, {}, { start: index, end: index + 1 }]), [0, 2, 3, 1, 4]), [count, 2, 6, 4]);
      const shares = softmax(matmul(part(0), part(1), { transposeRight: true }), { causal: true, temperature: 2 });
      const mixed = reshape(permute(matmul(shares, part(2)), [0, 2, 1, 3]), [count, 6, 8]);
      const logits = matmul(normal(add(embedded, mixed)), embedding!, { transposeRight: true });
      return sum(crossEntropy(logits, labels, { reduction: 'none' }), { axes: [1] });
    },
  },
];

const cases = backends.flatMap((backend) => models.map((model) => ({ backend, model, ...model, name: backend.name })));

describe.each(cases)('a gradient per microbatch of $title on $name', ({ backend, model }) => {
  const { parameters: shapes, sample, labels: labelsPerSample } = model;
  const size = sizeOf(sample);
  const parameters = shapes.map((shape, index) => fromArray(backend, randomValues(sizeOf(shape), 60 + index), shape));

  /** Returns the gradients, then the loss. */
  const gradientOf = (x: Float32Array, labels: Float32Array, microbatches?: number): Float32Array => {
    const count = x.length / size;
    const options = microbatches === undefined ? {} : { microbatches };
    const plan = compile(
      backend,
      (samples, classes, ...leaves) => {
        const loss = (...weights: Tensor[]): Tensor => sum(model.losses(samples!, classes!, weights), options);
        const { value, gradients } = valueAndGrad(loss, leaves, options);
        return [...gradients, value];
      },
      [[count, ...sample], [count, labelsPerSample], ...parameters],
    );
    backend.upload(plan.inputs[0]!.storage, x);
    backend.upload(plan.inputs[1]!.storage, labels);
    plan.run();
    const result = backend.view(plan.output).slice();
    plan.dispose();
    return result;
  };

  it.each([1, 2, 3, 7, 8])('has the bits of %i gradients, added in pairs', (microbatches) => {
    for (const run of [1, 5]) {
      const count = microbatches * run;
      const x = randomValues(count * size, 70 + run, 0.4);
      const labels = valuesIn('class index', [count * labelsPerSample], 71, 4);
      const part = (values: Float32Array, each: number, index: number): Float32Array =>
        values.subarray(index * run * each, (index + 1) * run * each);
      const parts = Array.from({ length: microbatches }, (_, index) =>
        gradientOf(part(x, size, index), part(labels, labelsPerSample, index)),
      );
      expect(bitsOf(gradientOf(x, labels, microbatches))).toEqual(bitsOf(addedInPairs(parts)));
    }
  });
});

describe.each(backends)('sums per microbatch on $name', (backend) => {
  it('gives back the memory of its sums', () => {
    const [input, output] = [backend.allocate(36), backend.allocate(3)];
    const allocate = vi.spyOn(backend, 'allocate');
    const free = vi.spyOn(backend, 'free');
    const call = { kind: 'reduce', reduction: 'sum', outer: 1, length: 12, inner: 3, input, output } as const;
    backend.prepare([{ ...call, microbatches: 4 }]).dispose();
    expect(free.mock.calls.map(([storage]) => storage)).toEqual(allocate.mock.results.map(({ value }) => value));
    vi.restoreAllMocks();
  });
});

describe('what cannot be summed per microbatch', () => {
  const x = fromArray(reference, randomValues(12, 1), [4, 3]);
  const weight = fromArray(reference, randomValues(9, 2), [3, 3]);
  const perMicrobatch = (loss: (parameter: Tensor) => Tensor) => () =>
    valueAndGrad(loss, [weight], { microbatches: 2 });

  it('is refused in a sentence', () => {
    expect(perMicrobatch((w) => sum(abs(w)))).toThrow(/cannot sum the gradient of a \[3, 3\] parameter per microbatch/);
    expect(perMicrobatch((w) => sum(matmul(x, reshape(w, [3, 3]))))).toThrow(/reshape cannot sum/);
    expect(perMicrobatch((w) => sum(indexSelect(w, x, 1)))).toThrow(/only for picks along axis 0/);
    expect(perMicrobatch((w) => sum(matmul(w, reshape(x, [3, 4]))))).toThrow(
      /for the right operand, not for the left one/,
    );
    expect(() => sum(x, { microbatches: 3 })).toThrow(
      'sum: expected 3 microbatches to divide the first axis of [4, 3]',
    );
    expect(() => sum(x, { axes: [1], microbatches: 2 })).toThrow(/summed over axes \[1\]/);
    expect(() => matmul(x, weight, { microbatches: 2 })).toThrow(
      'matmul: expected [k, m]ᵀ x [k, n] with k in 2 equal microbatches',
    );
    expect(() => sum(mul(x, 1), { microbatches: 0 })).toThrow();
  });
});

describe.each(backends)('a long sum on $name', (backend) => {
  const sumOf = (values: Float32Array, shape: readonly number[], axis: number, microbatches?: number): Float32Array =>
    tidy(() => {
      const options = microbatches === undefined ? {} : { microbatches };
      return backend.view(sum(fromArray(backend, values, shape), { axes: [axis], ...options }).storage).slice();
    });
  /** Sums `rows` rows from `start` on, few enough to be summed in one run. */
  const run = (values: Float32Array, columns: number, start: number, rows: number): Float32Array =>
    sumOf(values.subarray(start * columns, (start + rows) * columns), [rows, columns], 0);

  it.each([1, 2, 7, 8, 16, 37])('of %i columns has the bits of runs of 128 rows, added in pairs', (columns) => {
    for (const rows of [65_537, 66_560, 70_001]) {
      const values = randomValues(rows * columns, rows);
      const runs = Array.from({ length: Math.ceil(rows / 128) }, (_, index) =>
        run(values, columns, 128 * index, Math.min(128, rows - 128 * index)),
      );
      expect(bitsOf(sumOf(values, [rows, columns], 0))).toEqual(bitsOf(addedInPairs(runs)));
    }
  });

  it('is cut in every row of the outer axes, and in every microbatch', () => {
    const [outer, rows, columns] = [3, 65_600, 5];
    const values = randomValues(outer * rows * columns, 9);
    const parts = Array.from({ length: outer }, (_, index) =>
      sumOf(values.subarray(index * rows * columns, (index + 1) * rows * columns), [rows, columns], 0),
    );
    const whole = sumOf(values, [outer, rows, columns], 1);
    parts.forEach((part, index) => {
      expect(bitsOf(whole.subarray(index * columns, (index + 1) * columns))).toEqual(bitsOf(part));
    });
    expect(bitsOf(sumOf(values, [outer * rows, columns], 0, outer))).toEqual(bitsOf(addedInPairs(parts)));
  });

  it('is a single run up to 65,536 rows, as training needs it', () => {
    const values = randomValues(65_536 * 2, 4);
    const expected = Float32Array.of(0, 0);
    values.forEach((value, index) => {
      expected[index % 2]! += value;
    });
    expect(bitsOf(sumOf(values, [65_536, 2], 0))).toEqual(bitsOf(expected));
  });

  it.each([
    [[1_000_000, 2], 0],
    [[2, 1_000_000], 1],
    [[1_000_000], 0],
  ] as const)('of a million times 0.1 over %j is 100,000', (shape, axis) => {
    const total = sumOf(new Float32Array(sizeOf(shape)).fill(0.1), shape, axis);
    for (const value of total) expect(Math.abs(value - 100_000)).toBeLessThan(0.2);
  });
});

/** Checks that a backend with its own rounding agrees with the reference, on single ops and on whole steps. */
import { record } from '../src/autograd.ts';
import {
  add,
  averagePool2d,
  type Backend,
  compile,
  conv2d,
  correct,
  dropout,
  fromArray,
  matmul,
  maxPool2d,
  type Plan,
  randomKey,
  relu,
  reshape,
  slice,
  softmaxCrossEntropy,
  sum,
  type Tensor,
  tidy,
  transpose,
  valueAndGrad,
} from '../src/index.ts';
import type { Example } from './examples.ts';
import type { OpName } from './op-examples.ts';
import { randomValues, valuesIn } from './values.ts';

/** Maximum difference, relative to the largest value of the same result. */
const tolerance = 2e-5;

/** Returns an example's operands. Class indices are below the last size of the first operand, the logits. */
export function operandsOf(example: Example): Float32Array[] {
  const classes = example.shapes[0]!.at(-1) ?? 2;
  return example.shapes.map((shape, index) => valuesIn(example.domains[index] ?? 'any', shape, 17 + index, classes));
}

/** Returns the positions of the operands that have a derivative. */
export function differentiableOperands(example: Example): number[] {
  return example.shapes.flatMap((_, index) => (example.domains[index] === 'class index' ? [] : [index]));
}

/**
 * Returns a scalar with the gradient of a weighted sum of the result's values, without computing the sum: a GPU would
 * compile kernels for it for every shape, which takes longer than the whole comparison.
 */
function weighted(result: Tensor): Tensor {
  const weights = fromArray(result.backend, randomValues(result.size, 99), result.shape);
  const output = fromArray(result.backend, Float32Array.of(0), []);
  return record('weighted', { output, operands: [result], gradient: [() => weights] });
}

/** Returns the result of an example, then the gradients of its operands. */
export function resultsOf(backend: Backend, example: Example, operands = operandsOf(example)): Tensor[] {
  return tidy(() => {
    const tensors = operands.map((values, index) => fromArray(backend, values, example.shapes[index]!));
    const positions = differentiableOperands(example);
    const { gradients } = valueAndGrad(
      (...leaves) => {
        const all = [...tensors];
        positions.forEach((position, index) => {
          all[position] = leaves[index]!;
        });
        return weighted(example.compute(all));
      },
      positions.map((position) => tensors[position]!),
    );
    return [example.compute(tensors), ...gradients];
  });
}

async function download(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const values = await Promise.all(tensors.map((tensor) => tensor.values()));
  for (const tensor of tensors) tensor.dispose();
  return values;
}

/** Returns a message about the first difference beyond rounding. */
export function difference(expected: Float32Array, got: Float32Array): string | undefined {
  if (expected.length !== got.length) return `${got.length} values instead of ${expected.length}`;
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-30);
  const wrong = expected.findIndex((value, at) => {
    const computed = got[at]!;
    if (Object.is(value, computed)) return false;
    return !(Math.abs(value - computed) <= tolerance * scale);
  });
  return wrong < 0 ? undefined : `value ${wrong} is ${got[wrong]} instead of ${expected[wrong]}`;
}

export type ExamplesByOp = Readonly<Record<OpName, readonly Example[]>>;

/** Returns one message for each example of an op on which the backend differs from the reference. */
export async function disagreements(
  backend: Backend,
  reference: Backend,
  name: OpName,
  examples: readonly Example[],
): Promise<string[]> {
  const found: string[] = [];
  for (const example of examples) {
    const label = `${name} ${example.label}`;
    try {
      const expected = await download(resultsOf(reference, example));
      const got = await download(resultsOf(backend, example));
      expected.forEach((values, index) => {
        const wrong = difference(values, got[index]!);
        const what = index === 0 ? 'the result' : `gradient ${index - 1}`;
        if (wrong !== undefined) found.push(`${label}: ${what}: ${wrong}`);
      });
    } catch (error) {
      found.push(`${label}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return found;
}

/** Runs a plan once and returns its outputs. */
export async function resultOf(backend: Backend, planOf: (backend: Backend) => Plan): Promise<Float32Array> {
  const plan = planOf(backend);
  plan.run();
  const values = await backend.download(plan.output);
  plan.dispose();
  return values;
}

interface NetworkSizes {
  readonly batch: number;
  readonly features: number;
  readonly hidden: number;
  readonly classes: number;
}

/** Returns gradients, sum of losses and number correct of a two-layer network. */
export function networkStep(x?: Tensor, labels?: Tensor, ...parameters: Tensor[]): Tensor[] {
  let right: Tensor | undefined;
  const { value, gradients } = valueAndGrad((w1, b1, w2, b2) => {
    const logits = add(matmul(relu(add(matmul(x!, w1!), b1!)), w2!), b2!);
    right = sum(correct(logits, labels!));
    return sum(softmaxCrossEntropy(logits, labels!));
  }, parameters);
  return [...gradients, value, right!];
}

/** Compiles the step of a two-layer network: gradients, sum of losses, number correct. */
export function networkPlan(backend: Backend, { batch, features, hidden, classes }: NetworkSizes): Plan {
  const shapes = [[features, hidden], [hidden], [hidden, classes], [classes]];
  const plan = compile(backend, networkStep, [[batch, features], [batch], ...shapes]);
  const [x, labels, ...parameters] = plan.inputs;
  const pixels = Uint8Array.from(randomValues(batch * features, 1, 0.2), (value) => Math.abs(value) * 255);
  backend.uploadBytes(x!.storage, pixels, 255);
  backend.upload(labels!.storage, valuesIn('class index', [batch], 2, classes));
  parameters.forEach((parameter, index) => {
    backend.upload(
      parameter.storage,
      randomValues(parameter.size, 3 + index).map((value) => value * 0.1),
    );
  });
  return plan;
}

/** Scores of heads and their sums of values, from queries, keys and values in one tensor [samples, positions, 3 * width]. */
export function attend(x: Tensor, heads: number): Tensor[] {
  const [samples, positions, all] = x.shape as [number, number, number];
  const part = (index: number): Tensor => {
    const own = slice(x, [{}, {}, { start: (index * all) / 3, end: ((index + 1) * all) / 3 }]);
    return transpose(reshape(own, [samples, positions, heads, all / 3 / heads]), 1, 2);
  };
  const scores = matmul(part(0), part(1), { transposeRight: true });
  return [scores, matmul(scores, part(2))];
}

export function attentionPlan(backend: Backend): Plan {
  const plan = compile(backend, (x) => attend(x!, 3), [[2, 8, 36]]);
  backend.upload(plan.inputs[0]!.storage, randomValues(2 * 8 * 36, 51));
  return plan;
}

interface ImageNetworkSizes {
  readonly batch: number;
  /** Height and width. */
  readonly image: number;
  readonly channels: number;
  /** Filters of the first convolution; the second has twice as many. */
  readonly filters: number;
  readonly hidden: number;
  readonly classes: number;
}

/**
 * Compiles the step of a network over images: gradients, then the sum of losses.
 * The network has two convolutions with bias and relu, max and average pooling, and dropout between two dense layers.
 */
export function imageNetworkPlan(backend: Backend, sizes: ImageNetworkSizes): Plan {
  const { batch, image, channels, filters, hidden, classes } = sizes;
  const pooled = Math.floor(Math.floor(image / 2) / 2) ** 2 * 2 * filters;
  const shapes = [
    ...[[5, 5, channels, filters], [filters], [3, 3, filters, 2 * filters], [2 * filters]],
    ...[[pooled, hidden], [hidden], [hidden, classes], [classes]],
  ];
  const plan = compile(
    backend,
    (x, labels, key, samples, ...parameters) => {
      const { value, gradients } = valueAndGrad((k1, b1, k2, b2, w1, c1, w2, c2) => {
        const first = maxPool2d(relu(add(conv2d(x!, k1!, { padding: 2 }), b1!)), 2);
        const second = averagePool2d(relu(add(conv2d(first, k2!, { padding: 1 }), b2!)), 2);
        const dense = relu(add(matmul(reshape(second, [batch, pooled]), w1!), c1!));
        const kept = dropout(dense, 0.25, { key: key!, samples: samples!, stream: 3 });
        return sum(softmaxCrossEntropy(add(matmul(kept, w2!), c2!), labels!));
      }, parameters);
      return [...gradients, value];
    },
    [[batch, image, image, channels], [batch], [4], [batch], ...shapes],
  );
  const [x, labels, key, samples, ...parameters] = plan.inputs;
  const pixels = Uint8Array.from(randomValues(x!.size, 31, 0.6), (value) => Math.abs(value) * 255);
  backend.uploadBytes(x!.storage, pixels, 255);
  backend.upload(labels!.storage, valuesIn('class index', [batch], 32, classes));
  backend.upload(key!.storage, randomKey(7, 11));
  backend.upload(
    samples!.storage,
    Float32Array.from({ length: batch }, (_, index) => 1000 + index),
  );
  parameters.forEach((parameter, index) => {
    backend.upload(
      parameter.storage,
      randomValues(parameter.size, 33 + index).map((value) => value * 0.2),
    );
  });
  return plan;
}

/** Checks a backend before it is trusted: it must give the known gradient of a small network. */
import { valueAndGrad } from '../autograd.ts';
import type { Backend } from '../backend.ts';
import { relu } from '../ops/activations.ts';
import { softmaxCrossEntropy } from '../ops/classify.ts';
import { add } from '../ops/elementwise.ts';
import { matmul } from '../ops/matmul.ts';
import { mean } from '../ops/reduce.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { fromArray, type Tensor, tidy } from '../tensor.ts';
import { createReferenceBackend } from './reference/backend.ts';

/** Sizes of networks of two layers: kernels take other paths where sizes divide by four than where they do not. */
interface Sizes {
  readonly samples: number;
  readonly features: number;
  readonly hidden: number;
  readonly classes: number;
}

const networks: readonly Sizes[] = [
  { samples: 9, features: 83, hidden: 19, classes: 7 },
  { samples: 12, features: 60, hidden: 24, classes: 8 },
];

/** Largest difference from the reference, relative to the largest value beside it, that float32 rounding explains. */
const tolerance = 1e-5;

/** Values in [-1, 1) from a linear congruential generator: the same on every engine. */
function knownValues(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Loss and gradients of a network of two layers on fixed data, one array per tensor. */
async function knownGradient(backend: Backend, { samples, features, hidden, classes }: Sizes): Promise<Float32Array[]> {
  const parameterShapes: readonly Shape[] = [[features, hidden], [hidden], [hidden, classes], [classes]];
  // Half of the inputs are 0, so that paths that skip zeros run too.
  const pixels = knownValues(samples * features, 1).map((value) => Math.max(value, 0));
  const parameters = parameterShapes.map((shape, index) =>
    fromArray(backend, knownValues(sizeOf(shape), index + 2), shape),
  );
  const results = tidy(() => {
    const batch = fromArray(backend, pixels, [samples, features]);
    const labels = fromArray(
      backend,
      Array.from({ length: samples }, (_, index) => index % classes),
      [samples],
    );
    const loss = (w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor): Tensor => {
      const activations = relu(add(matmul(batch, w1), b1));
      return mean(softmaxCrossEntropy(add(matmul(activations, w2), b2), labels));
    };
    const { value, gradients } = valueAndGrad(loss as (...parameters: Tensor[]) => Tensor, parameters);
    return [value, ...gradients];
  });
  const values = await Promise.all(results.map((result) => result.values()));
  for (const tensor of [...results, ...parameters]) tensor.dispose();
  return values;
}

/** Throws a sentence when a gradient of the backend differs from the reference by more than float32 rounding. */
export async function verifyBackend(backend: Backend): Promise<void> {
  const reference = createReferenceBackend();
  for (const sizes of networks) {
    compare(await knownGradient(reference, sizes), await knownGradient(backend, sizes));
  }
}

function compare(expected: readonly Float32Array[], got: readonly Float32Array[]): void {
  expected.forEach((values, index) => {
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const computed = got[index]!;
    const wrong = values.findIndex((value, at) => !(Math.abs(value - computed[at]!) <= tolerance * scale));
    if (wrong >= 0 || computed.length !== values.length) {
      const what = index === 0 ? 'loss' : `gradient ${index}`;
      throw new Error(
        `its arithmetic is wrong: in the ${what} of a known network, value ${wrong} should be ${values[wrong]}, got ${computed[wrong]}`,
      );
    }
  });
}

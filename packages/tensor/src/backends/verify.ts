/** Checks a backend before it is trusted: it must give the known gradient of a small network. */
import { valueAndGrad } from '../autograd.ts';
import type { Backend } from '../backend.ts';
import { compile, type Plan } from '../compile.ts';
import { relu } from '../ops/activations.ts';
import { reshape } from '../ops/arrange.ts';
import { softmaxCrossEntropy } from '../ops/classify.ts';
import { conv2d } from '../ops/convolution.ts';
import { add } from '../ops/elementwise.ts';
import { matmul } from '../ops/matmul.ts';
import { maxPool2d } from '../ops/pool.ts';
import { mean } from '../ops/reduce.ts';
import type { Shape } from '../shape.ts';
import { createReferenceBackend } from './reference/backend.ts';

/**
 * The network takes every kind of product there is, forward and backward: a dense layer makes images of its features, then
 * come a convolution, pooling, and another dense layer. Kernels take other paths where sizes divide by four than where they
 * do not, and where there is much to do: the first dense layer is large and even, the last one small and odd.
 */
const [samples, features, height, width, channels] = [16, 64, 4, 4, 4];
const [window, filters, classes] = [3, 4, 7];
const image = height * width * channels;
const pooled = Math.floor(height / 2) * Math.floor(width / 2) * filters;

const parameters: readonly { readonly name: string; readonly shape: Shape }[] = [
  { name: 'first weights', shape: [features, image] },
  { name: 'first bias', shape: [image] },
  { name: 'kernel', shape: [window, window, channels, filters] },
  { name: "kernel's bias", shape: [filters] },
  { name: 'last weights', shape: [pooled, classes] },
  { name: 'last bias', shape: [classes] },
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

/** The compiled loss and gradients of the network, as training compiles them, on fixed data. */
function knownPlan(backend: Backend): Plan {
  const plan = compile(
    backend,
    (batch, labels, ...leaves) => {
      const { value, gradients } = valueAndGrad((w1, b1, kernel, b2, w3, b3) => {
        const images = reshape(relu(add(matmul(batch!, w1!), b1!)), [samples, height, width, channels]);
        const filtered = relu(add(conv2d(images, kernel!, { padding: 1 }), b2!));
        const activations = reshape(maxPool2d(filtered, 2), [samples, pooled]);
        return mean(softmaxCrossEntropy(add(matmul(activations, w3!), b3!), labels!));
      }, leaves);
      return [value, ...gradients];
    },
    [[samples, features], [samples], ...parameters.map(({ shape }) => shape)],
  );
  const [batch, labels, ...leaves] = plan.inputs;
  // Half of the inputs are 0, so that paths that skip zeros run too.
  backend.upload(
    batch!.storage,
    knownValues(batch!.size, 1).map((value) => Math.max(value, 0)),
  );
  backend.upload(
    labels!.storage,
    Float32Array.from({ length: samples }, (_, index) => index % classes),
  );
  leaves.forEach((leaf, index) => {
    backend.upload(leaf.storage, knownValues(leaf.size, index + 2));
  });
  return plan;
}

const { performance } = globalThis as unknown as { performance: { now(): number } };

/** The loss and one array per parameter, of each of so many runs, with the milliseconds of the last one. */
async function knownGradient(backend: Backend, runs: number): Promise<{ gradients: Float32Array[][]; ms: number }> {
  const plan = knownPlan(backend);
  try {
    const gradients: Float32Array[][] = [];
    let ms = 0;
    for (let run = 0; run < runs; run++) {
      const startedMs = performance.now();
      plan.run();
      const values = await backend.download(plan.output);
      ms = performance.now() - startedMs;
      let end = 0;
      const parts = plan.outputs.map(({ size }) => {
        end += size;
        return values.slice(end - size, end);
      });
      gradients.push(parts);
    }
    return { gradients, ms };
  } finally {
    plan.dispose();
  }
}

/**
 * The milliseconds that the known gradient takes, read back, once everything is compiled. Throws a sentence when a gradient
 * of the backend differs from the reference by more than float32 rounding.
 */
export async function verifyBackend(backend: Backend): Promise<number> {
  const { gradients: expected } = await knownGradient(createReferenceBackend(), 1);
  const { gradients: got, ms } = await knownGradient(backend, 2);
  for (const computed of got) compare(expected[0]!, computed);
  return ms;
}

function compare(expected: readonly Float32Array[], got: readonly Float32Array[]): void {
  expected.forEach((values, index) => {
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const computed = got[index]!;
    const wrong = values.findIndex((value, at) => !(Math.abs(value - computed[at]!) <= tolerance * scale));
    if (wrong < 0) return;
    const what = index === 0 ? 'loss' : `gradient of the ${parameters[index - 1]!.name}`;
    throw new Error(
      `its arithmetic is wrong: in the ${what} of a known network, value ${wrong} should be ${values[wrong]}, got ${computed[wrong]}`,
    );
  });
}

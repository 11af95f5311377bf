/** The numerics check that a backend must pass before it is used: the known gradient of a small network. */
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
 * The network has every kind of product, forward and backward: a dense layer turns features into images, followed by a
 * convolution, pooling and another dense layer. Kernels take other paths if sizes are divisible by four and if there is
 * much to do, so the first dense layer is large and even, the last one small and odd.
 */
const [samples, features, height, width, channels] = [16, 64, 4, 4, 4];
const [window, filters, classes] = [3, 4, 7];
const image = height * width * channels;
const pooled = Math.floor(height / 2) * Math.floor(width / 2) * filters;

/** Shapes of the parameters. */
const parameters: Readonly<Record<string, Shape>> = {
  'first weights': [features, image],
  'first bias': [image],
  kernel: [window, window, channels, filters],
  "kernel's bias": [filters],
  'last weights': [pooled, classes],
  'last bias': [classes],
};

/**
 * Largest difference from the reference that float32 rounding explains, relative to the largest value of the same
 * tensor.
 */
const tolerance = 1e-5;

/** Values in [-1, 1) from a linear congruential generator: the same on every engine. */
function knownValues(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Compiles the loss and gradients of the network, as training does, on fixed data. */
function createPlan(backend: Backend): Plan {
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
    [[samples, features], [samples], ...Object.values(parameters)],
  );
  const [batch, labels, ...leaves] = plan.inputs;
  // Half of the inputs are 0, so that paths that skip zeros run too.
  const inputs = knownValues(batch!.size, 1).map((value) => Math.max(value, 0));
  backend.upload(batch!.storage, inputs);
  const classOf = (_: unknown, sample: number): number => sample % classes;
  backend.upload(labels!.storage, Float32Array.from({ length: samples }, classOf));
  for (const [index, { storage, size }] of leaves.entries()) backend.upload(storage, knownValues(size, index + 2));
  return plan;
}

const { performance } = globalThis as unknown as { performance: { now(): number } };

/** Runs the plan and returns the milliseconds it took; throws unless the values match up to float32 rounding. */
async function compareRun(plan: Plan, backend: Backend, expected: Float32Array): Promise<number> {
  const startedMs = performance.now();
  plan.run();
  const got = await backend.download(plan.output);
  const ms = performance.now() - startedMs;
  let start = 0;
  plan.outputs.forEach(({ size }, index) => {
    const what = index === 0 ? 'loss' : `gradient of the ${Object.keys(parameters)[index - 1]}`;
    compare(what, expected.subarray(start, start + size), got.subarray(start, start + size));
    start += size;
  });
  return ms;
}

/**
 * Returns the milliseconds that the known gradient takes once everything is compiled, including the download.
 * @throws Error with one sentence if a gradient differs from the reference by more than float32 rounding
 */
export async function checkNumerics(backend: Backend): Promise<number> {
  const reference = createReferenceBackend();
  const expected = createPlan(reference);
  expected.run();
  const values = await reference.download(expected.output);
  const plan = createPlan(backend);
  try {
    await compareRun(plan, backend, values);
    return await compareRun(plan, backend, values);
  } finally {
    plan.dispose();
  }
}

function compare(what: string, expected: Float32Array, got: Float32Array): void {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const wrong = expected.findIndex((value, at) => !(Math.abs(value - got[at]!) <= tolerance * scale));
  if (wrong < 0) return;
  throw new Error(
    `its arithmetic is wrong: in the ${what} of a known network, value ${wrong} should be ${expected[wrong]}, got ${got[wrong]}`,
  );
}

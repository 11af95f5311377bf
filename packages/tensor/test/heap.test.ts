/** A compiled step leaks no memory over 10,000 steps, neither in JavaScript's heap nor in the backend's memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import {
  add,
  averagePool2d,
  compile,
  conv2d,
  fromArray,
  fromStorage,
  matmul,
  maxPool2d,
  mul,
  openBackend,
  type Plan,
  relu,
  reshape,
  softmaxCrossEntropy,
  sub,
  sum,
  type Tensor,
  valueAndGrad,
} from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { randomValues } from './support.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const steps = 10_000;
/** Less than one object per ten steps. */
const slackBytes = 10_000;
/** The engine itself allocates in some rounds, for example to compile; a leak of the step shows in every round. */
const rounds = 5;

const { backend } = await openBackend('cpu');

const shapes = [[3, 3, 1, 2], [2], [8, 3], [3]] as const;

/** Compiles the gradient of a small convolutional network, and the in-place update of its parameters. */
function trainingStep(): { gradient: Plan; update: Plan } {
  const parameters = shapes.map((shape, index) => fromArray(backend, randomValues(sizeOf(shape), index), shape));
  const gradient = compile(
    backend,
    (x, labels, ...leaves) => {
      const loss = (kernel: Tensor, offset: Tensor, weight: Tensor, bias: Tensor): Tensor => {
        const features = relu(add(conv2d(x!, kernel, { padding: 1 }), offset));
        const pooled = averagePool2d(maxPool2d(features, 2), 2);
        return sum(softmaxCrossEntropy(add(matmul(reshape(pooled, [4, 8]), weight), bias), labels!));
      };
      const { value, gradients } = valueAndGrad(loss as (...tensors: Tensor[]) => Tensor, leaves);
      return [...gradients, value];
    },
    [[4, 8, 8, 1], [4], ...parameters],
  );
  const update = compile(
    backend,
    (...tensors) => shapes.map((_, index) => sub(tensors[index]!, mul(1e-3, tensors[index + shapes.length]!))),
    [
      ...parameters,
      ...gradient.outputs.slice(0, shapes.length).map(({ storage, shape }) => fromStorage(backend, storage, shape)),
    ],
    { into: parameters.map(({ storage }) => storage) },
  );
  return { gradient, update };
}

const leastOf = (times: number, measure: () => number): number => Math.min(...Array.from({ length: times }, measure));

it('allocates nothing while it runs, and keeps nothing of what it is given', () => {
  const { gradient, update } = trainingStep();
  const pixels = Uint8Array.from({ length: 4 * 64 }, (_, index) => (index * 37) % 256);
  const labels = Float32Array.of(0, 1, 2, 1);
  const [images, classes] = gradient.inputs.map(({ storage }) => storage);
  const run = (): void => {
    for (let step = 0; step < steps; step++) {
      gradient.run();
      update.run();
    }
  };
  const runFed = (): void => {
    for (let step = 0; step < steps; step++) {
      backend.uploadBytes(images!, pixels, 255);
      backend.upload(classes!, labels);
      gradient.run();
      update.run();
    }
  };
  const probe = backend.allocate(1);
  const heapBytes = (): number => process.memoryUsage().heapUsed;
  runFed();
  run();
  collectGarbage();
  const { buffer } = backend.view(probe);
  const memoryBytes = buffer.byteLength;

  // No collection between the two readings, so that short-lived allocations count too.
  const allocated = leastOf(rounds, () => {
    const before = heapBytes();
    run();
    return heapBytes() - before;
  });
  expect(allocated).toBeLessThan(slackBytes);

  const kept = leastOf(rounds, () => {
    collectGarbage();
    const before = heapBytes();
    runFed();
    collectGarbage();
    return heapBytes() - before;
  });
  expect(kept).toBeLessThan(slackBytes);
  expect(backend.view(probe).buffer).toBe(buffer);
  expect(backend.view(probe).buffer.byteLength).toBe(memoryBytes);
  expect(backend.view(gradient.outputs.at(-1)!.storage)[0]).toBeGreaterThan(0);
});

/** jax-js on its wasm backend, one thread: without a global Worker, as in Node, it makes no pool of threads. */
import { type Absent, type Contender, timeSteps } from '../contender.ts';
import { mlp } from '../work/mlp-oracle.ts';
import { joinParameters, type MnistStep, oneHotLabels, scaledPixels, splitParameters } from '../work/mnist-step.ts';
import { packageVersion } from './version.ts';

/** The whole step, gradient and update, in one `jit`, the fastest form found; batches lie ready as float32 arrays. */
export async function openJaxStep(work: MnistStep): Promise<Contender | Absent> {
  if ('Worker' in globalThis)
    return { absent: 'jax-js would compute on a thread for every core here; run the bench in Node' };
  const { blockUntilReady, defaultDevice, init, jit, nn, numpy, tree, valueAndGrad } = await import('@jax-js/jax');
  if (!(await init('wasm')).includes('wasm')) return { absent: 'jax-js finds no WebAssembly here' };
  defaultDevice('wasm');
  type Array = ReturnType<typeof numpy.array>;
  type Parameters = { weight1: Array; bias1: Array; weight2: Array; bias2: Array };

  const { inputs, hidden, classes } = mlp;
  const batches = work.batches.map((batch) => ({
    images: numpy.array(scaledPixels(batch)).reshape([work.batchSize, inputs]),
    labels: numpy.array(oneHotLabels(batch)).reshape([work.batchSize, classes]),
  }));
  const start = (): Parameters => {
    const initial = splitParameters(work.initial);
    return {
      weight1: numpy.array(initial.weight1.slice()).reshape([inputs, hidden]),
      bias1: numpy.array(initial.bias1.slice()),
      weight2: numpy.array(initial.weight2.slice()).reshape([hidden, classes]),
      bias2: numpy.array(initial.bias2.slice()),
    };
  };

  // Every use but the last of an array is a `.ref`: jax-js functions own what they are given.
  const meanLoss = ({ weight1, bias1, weight2, bias2 }: Parameters, images: Array, labels: Array): Array => {
    const activation = nn.relu(numpy.matmul(images, weight1).add(bias1));
    const logits = numpy.matmul(activation, weight2).add(bias2);
    return nn
      .logSoftmax(logits)
      .mul(labels)
      .sum()
      .mul(-1 / work.batchSize);
  };
  const lossAndGradient = valueAndGrad(meanLoss);
  const descend = (parameter: Array, gradient: Array): Array => parameter.sub(gradient.mul(work.learningRate));
  const trainStep = jit((parameters: Parameters, images: Array, labels: Array): [Parameters, Array] => {
    const [loss, gradient] = lossAndGradient(tree.ref(parameters), images, labels);
    return [
      {
        weight1: descend(parameters.weight1, gradient.weight1),
        bias1: descend(parameters.bias1, gradient.bias1),
        weight2: descend(parameters.weight2, gradient.weight2),
        bias2: descend(parameters.bias2, gradient.bias2),
      },
      loss,
    ];
  });

  let parameters = start();
  let next = 0;
  const step = (): void => {
    const { images, labels } = batches[next++ % batches.length]!;
    const [updated, loss] = trainStep(parameters, images.ref, labels.ref);
    parameters = updated;
    loss.dispose();
  };

  return {
    version: await packageVersion('@jax-js/jax'),
    notes: ['wasm, 1 thread', 'gradient and SGD in one jit'],
    async reset() {
      next = 0;
      tree.dispose(parameters);
      parameters = start();
      await blockUntilReady(parameters);
    },
    run: (steps) =>
      timeSteps(steps, step, async () => {
        await blockUntilReady(parameters);
      }),
    async result() {
      const { weight1, bias1, weight2, bias2 } = parameters;
      const parts = await Promise.all([weight1, bias1, weight2, bias2].map((part) => part.ref.data()));
      return joinParameters(parts);
    },
    async close() {
      tree.dispose(parameters);
      tree.dispose(batches);
      trainStep.dispose();
    },
  };
}

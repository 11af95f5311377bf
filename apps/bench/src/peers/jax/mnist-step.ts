/** The training step on jax-js: gradient and update in one `jit`, the fastest form found. */
import { type Absent, type Contender, timeSteps } from '../../contender.ts';
import { mlp } from '../../work/mlp-oracle.ts';
import { type MnistStep, oneHotLabels, scaledPixels } from '../../work/mnist-step.ts';
import { joinParameters, splitParameters } from '../../work/net.ts';
import { packageVersion } from '../version.ts';
import { type JaxArray, loadJax } from './load.ts';
import { fromJax, logitsOf, toJax } from './nets.ts';

/** Batches lie ready as float32 arrays. */
export async function openJaxStep(work: MnistStep): Promise<Contender | Absent> {
  const jax = await loadJax();
  if ('absent' in jax) return jax;
  const { blockUntilReady, jit, nn, numpy, tree, valueAndGrad } = jax;
  const { net, batchSize } = work;
  const imageShape = net.name === 'cnn' ? [batchSize, 1, 28, 28] : [batchSize, mlp.inputs];
  const batches = work.batches.map((batch) => ({
    images: numpy.array(scaledPixels(batch) as Float32Array<ArrayBuffer>).reshape(imageShape),
    labels: numpy.array(oneHotLabels(batch) as Float32Array<ArrayBuffer>).reshape([batchSize, mlp.classes]),
  }));
  const start = (): JaxArray[] =>
    splitParameters(net, work.initial).map((part, index) => toJax(jax, net, index, part.slice()));

  const meanLoss = (parameters: JaxArray[], images: JaxArray, labels: JaxArray): JaxArray =>
    nn
      .logSoftmax(logitsOf(jax, net, parameters, images))
      .mul(labels)
      .sum()
      .mul(-1 / batchSize);
  const lossAndGradient = valueAndGrad(meanLoss);
  const trainStep = jit((parameters: JaxArray[], images: JaxArray, labels: JaxArray): [JaxArray[], JaxArray] => {
    const [loss, gradients] = lossAndGradient(tree.ref(parameters), images, labels);
    return [parameters.map((parameter, index) => parameter.sub(gradients[index]!.mul(work.learningRate))), loss];
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
    notes: ['wasm, 1 thread', 'gradient and SGD in one jit, from float32'],
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
      return joinParameters(
        await Promise.all(parameters.map((parameter, index) => fromJax(jax, net, index, parameter.ref))),
      );
    },
    async close() {
      tree.dispose(parameters);
      tree.dispose(batches);
      trainStep.dispose();
    },
  };
}

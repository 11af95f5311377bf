/** The training step on jax-js: gradient and update in one `jit`, the fastest form known. */
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import { type MnistStep, oneHotLabels, scaledPixels } from '../../workloads/mnist-step.ts';
import { joinParameters, mnist } from '../../workloads/net.ts';
import { packageVersion } from '../version.ts';
import { type Jax, type JaxArray, loadJax } from './load.ts';
import { logitsOf, parametersFromJax, parametersToJax } from './nets.ts';

/** Batches are prepared as float32 arrays. */
export async function openJaxStep(work: MnistStep): Promise<Implementation | Absent> {
  const jax = await loadJax();
  if ('absent' in jax) return jax;
  const { blockUntilReady, tree } = jax;
  const { net, initial } = work;
  const batches = batchesOf(jax, work);
  const trainStep = trainStepOf(jax, work);
  let parameters = parametersToJax(jax, net, initial);
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
      parameters = parametersToJax(jax, net, initial);
      await blockUntilReady(parameters);
    },
    run: (steps) => timeSteps(steps, step, () => blockUntilReady(parameters)),
    result: async () => joinParameters(await parametersFromJax(jax, net, tree.ref(parameters))),
    async close() {
      tree.dispose(parameters);
      tree.dispose(batches);
      trainStep.dispose();
    },
  };
}

function batchesOf({ numpy }: Jax, { net, batchSize, batches }: MnistStep) {
  const imageShape = net.name === 'cnn' ? [batchSize, 1, 28, 28] : [batchSize, mnist.pixels];
  return batches.map((batch) => ({
    images: numpy.array(scaledPixels(batch)).reshape(imageShape),
    labels: numpy.array(oneHotLabels(batch)).reshape([batchSize, mnist.classes]),
  }));
}

/** (parameters, images, labels) -> [updated parameters, mean cross-entropy], compiled. */
function trainStepOf(jax: Jax, { net, batchSize, learningRate }: MnistStep) {
  const { jit, nn, tree, valueAndGrad } = jax;
  const meanLoss = (parameters: JaxArray[], images: JaxArray, labels: JaxArray): JaxArray => {
    const logProbabilities = nn.logSoftmax(logitsOf(jax, net, parameters, images));
    return logProbabilities
      .mul(labels)
      .sum()
      .mul(-1 / batchSize);
  };
  const lossAndGradient = valueAndGrad(meanLoss);
  return jit((parameters: JaxArray[], images: JaxArray, labels: JaxArray): [JaxArray[], JaxArray] => {
    const [loss, gradients] = lossAndGradient(tree.ref(parameters), images, labels);
    return [parameters.map((parameter, index) => parameter.sub(gradients[index]!.mul(learningRate))), loss];
  });
}

/** TensorFlow.js in the page: the gradient by autograd, eagerly, as it is used. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import '@tensorflow/tfjs-layers';
import type { PageContender } from '../src/peers/page-contract.ts';
import { meanLossOf, tensorBatch } from '../src/peers/tensorflow/nets.ts';
import type { MnistStep } from '../src/work/mnist-step.ts';
import { splitParameters } from '../src/work/net.ts';

// Without its checks, as in Node.
tf.enableProdMode();

export async function openTensorflow(work: MnistStep, name: 'webgl' | 'webgpu'): Promise<PageContender> {
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js finds no ${name} here`);
  await tf.ready();
  const { net } = work;
  const batches = work.batches.map((batch) => tensorBatch(tf, net, batch));
  const variables = splitParameters(net, work.initial).map((part, index) =>
    tf.variable(tf.tensor(part.slice(), [...net.shapes[index]!])),
  );
  return {
    version: tf.version_core,
    notes: ['eager, logSoftmax cross-entropy, tf.variableGrads, batches ready on the device, every gradient read back'],
    async reset() {
      await tf.setBackend(name);
    },
    async step(index) {
      const { value, grads } = tf.variableGrads(() => meanLossOf(tf, net, variables, batches[index]!), variables);
      const gradients = variables.map((variable) => grads[variable.name]!);
      const values = await Promise.all(gradients.map((gradient) => gradient.data<'float32'>()));
      tf.dispose([value, ...gradients]);
      return values;
    },
    close() {
      tf.dispose(variables);
      for (const { images, labels } of batches) tf.dispose([images, labels]);
    },
  };
}

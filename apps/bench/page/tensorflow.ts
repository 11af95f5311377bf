/** TensorFlow.js in the page: the gradient by autograd in eager mode, as it is commonly used. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import '@tensorflow/tfjs-layers';
import type { PageGradient, PageWork } from '../src/peers/page-contract.ts';
import { meanLossOf, parameterTensors, tensorBatch } from '../src/peers/tensorflow/nets.ts';
import { mlpNet } from '../src/workloads/net.ts';

// Turns off debug checks, as in Node.
tf.enableProdMode();

export async function openTensorflow(work: PageWork, name: 'webgl' | 'webgpu'): Promise<PageGradient> {
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js finds no ${name} here`);
  await tf.ready();
  const batches = work.batches.map((batch) => tensorBatch(tf, mlpNet, batch));
  const variables = parameterTensors(tf, mlpNet, work.initial).map((tensor) => tf.variable(tensor));
  return {
    version: tf.version_core,
    notes: ['eager, logSoftmax cross-entropy, tf.variableGrads, batches ready on the device, every gradient read back'],
    async activate() {
      await tf.setBackend(name);
    },
    async step(index) {
      const loss = () => meanLossOf(tf, mlpNet, variables, batches[index]!);
      const { value, grads } = tf.variableGrads(loss, variables);
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

/** TensorFlow.js on its wasm backend (XNNPACK), one thread. */
import type { Scalar } from '@tensorflow/tfjs-core';
import { type Absent, type Contender, timeSteps } from '../contender.ts';
import { mlp } from '../work/mlp-oracle.ts';
import { joinParameters, type MnistStep, oneHotLabels, scaledPixels, splitParameters } from '../work/mnist-step.ts';

async function loadWasmBackend() {
  const tf = await import('@tensorflow/tfjs-core');
  // The core's Node build registers no gradients; the layers' build registers those of the core.
  await import('@tensorflow/tfjs-layers');
  const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const { fileURLToPath } = await import('node:url');
  setWasmPaths(fileURLToPath(new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm'))));
  setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  return tf;
}

/** Autograd and its SGD optimizer, eagerly, as TensorFlow.js is used; batches lie ready as float32 tensors. */
export async function openTensorflowStep(work: MnistStep): Promise<Contender | Absent> {
  const tf = await loadWasmBackend();
  const { inputs, hidden, classes } = mlp;
  const batches = work.batches.map((batch) => ({
    images: tf.tensor2d(scaledPixels(batch), [work.batchSize, inputs]),
    labels: tf.tensor2d(oneHotLabels(batch), [work.batchSize, classes]),
  }));
  const initial = splitParameters(work.initial);
  const starts = [
    tf.tensor2d(initial.weight1.slice(), [inputs, hidden]),
    tf.tensor1d(initial.bias1.slice()),
    tf.tensor2d(initial.weight2.slice(), [hidden, classes]),
    tf.tensor1d(initial.bias2.slice()),
  ] as const;
  const [weight1, bias1, weight2, bias2] = starts.map((start) => tf.variable(start.clone()));
  const variables = [weight1!, bias1!, weight2!, bias2!];
  const optimizer = tf.train.sgd(work.learningRate);
  let next = 0;

  const step = (): void => {
    const { images, labels } = batches[next++ % batches.length]!;
    optimizer.minimize(
      () => {
        const activation = tf.relu(tf.add(tf.matMul(images, weight1!), bias1!));
        const logits = tf.add(tf.matMul(activation, weight2!), bias2!);
        return tf.neg(tf.mean<Scalar>(tf.sum(tf.mul(labels, tf.logSoftmax(logits)), 1)));
      },
      false,
      variables,
    );
  };

  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  const threads = await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT');
  return {
    version: tf.version_core,
    notes: [
      `tfjs-backend-wasm${threads ? '-threaded' : ''}${simd ? '-simd' : ''}.wasm, 1 thread`,
      'eager, logSoftmax cross-entropy, tf.train.sgd().minimize',
    ],
    async reset() {
      next = 0;
      variables.forEach((variable, index) => {
        variable.assign(starts[index]!.clone());
      });
    },
    run: (steps) =>
      timeSteps(steps, step, async () => {
        await bias2!.data();
      }),
    async result() {
      return joinParameters(await Promise.all(variables.map((variable) => variable.data())));
    },
    async close() {
      optimizer.dispose();
      tf.dispose([...variables, ...starts]);
      tf.dispose(batches);
    },
  };
}

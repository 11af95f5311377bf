/** The training step on TensorFlow.js: autograd and its SGD optimizer in eager mode, as it is commonly used. */
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import type { MnistStep } from '../../workloads/mnist-step.ts';
import { joinParameters, type Net } from '../../workloads/net.ts';
import { loadTensorFlow, type TensorFlowBackend } from './load.ts';
import { meanLossOf, parameterTensors, tensorBatch } from './nets.ts';

/** Kernels of the net's gradient that some backends lack. */
const neededForTraining: Readonly<Record<Net['name'], readonly string[]>> = {
  mlp: [],
  cnn: ['Conv2DBackpropFilter', 'MaxPoolGrad'],
};

/** Batches are prepared as float32 tensors. */
export async function openTensorflowStep(work: MnistStep, name: TensorFlowBackend): Promise<Implementation | Absent> {
  const loaded = await loadTensorFlow(name);
  if ('absent' in loaded) return loaded;
  const { tf, registered, version, description } = loaded;
  const { net } = work;
  const missing = neededForTraining[net.name].find((kernel) => tf.getKernel(kernel, registered) == null);
  if (missing !== undefined) {
    return {
      absent: `TensorFlow.js ${tf.version_core} cannot train this net on ${name}: it has no ${missing} there`,
    };
  }
  const batches = work.batches.map((batch) => tensorBatch(tf, net, batch));
  const starts = parameterTensors(tf, net, work.initial);
  const variables = starts.map((start) => tf.variable(start.clone()));
  const optimizer = tf.train.sgd(work.learningRate);
  let next = 0;
  const step = (): void => {
    const batch = batches[next++ % batches.length]!;
    optimizer.minimize(() => meanLossOf(tf, net, variables, batch), false, variables);
  };
  return {
    version,
    notes: [description, 'eager, logSoftmax cross-entropy, tf.train.sgd().minimize, from float32'],
    async reset() {
      await tf.setBackend(registered);
      next = 0;
      for (const [index, variable] of variables.entries()) variable.assign(starts[index]!.clone());
    },
    run: (steps) => timeSteps(steps, step, () => variables.at(-1)!.data()),
    result: async () => joinParameters(await Promise.all(variables.map((variable) => variable.data()))),
    async close() {
      await tf.setBackend(registered);
      optimizer.dispose();
      tf.dispose([...variables, ...starts]);
      for (const { images, labels } of batches) tf.dispose([images, labels]);
    },
  };
}

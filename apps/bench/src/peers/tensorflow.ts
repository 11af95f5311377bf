/** TensorFlow.js in Node, on one thread of one of its Node backends: a matrix product and the training step. */
import { fileURLToPath } from 'node:url';
import { loadTensorFlow as loadNativePart, prepareProcess } from '@lockstep/tfjs-node';
import type { Absent, Implementation } from '../harness.ts';
import {
  joinParameters,
  type MatrixProduct,
  meanLossOf,
  type Net,
  type Peer,
  type TensorFlowJs,
  type TrainingStep,
  tensorBatch,
  tensorsOfParameters,
  timeSteps,
} from '../work.ts';

/** `node` is TensorFlow's C library, through @tensorflow/tfjs-node. */
type TensorFlowBackend = 'wasm' | 'cpu' | 'node';

/** Loads and activates a backend. Only one is active at a time, so each candidate activates its own in its `reset`. */
async function loadTensorFlow(backend: TensorFlowBackend) {
  const tf = await import('@tensorflow/tfjs-core');
  // The core's Node build registers no gradients; the layers' build registers the gradients of the core.
  await import('@tensorflow/tfjs-layers');
  // Turns off debug checks and the advice to install another package.
  tf.enableProdMode();
  const activate = async (registered: string, version: string, describe: () => Promise<string>) => {
    await tf.setBackend(registered);
    await tf.ready();
    /** `registered` is TensorFlow.js's name of the backend; `description` says engine and threads. */
    return { tf, registered, version, description: await describe() };
  };
  switch (backend) {
    case 'wasm': {
      const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      if (tf.findBackend('wasm') === null) {
        setWasmPaths(fileURLToPath(new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm'))));
        setThreadsCount(1);
      }
      return activate('wasm', tf.version_core, () => describeWasm(tf));
    }
    case 'cpu':
      await import('@tensorflow/tfjs-backend-cpu');
      return activate('cpu', tf.version_core, async () => 'tfjs-backend-cpu, plain JavaScript, 1 thread');
    case 'node': {
      // Both copies of TensorFlow.js share one engine: the core above finds what this copy registers.
      prepareProcess();
      const loaded = await loadNativePart().catch((error: Error) => ({ absent: error.message }));
      if ('absent' in loaded) return loaded;
      const { tf: node, version } = loaded;
      const threads = process.env['TF_NUM_INTRAOP_THREADS'];
      const description = `the C library of TensorFlow ${version}, ${threads} thread${threads === '1' ? '' : 's'}`;
      return activate('tensorflow', node.version['tfjs-node'], async () => description);
    }
    default:
      return backend satisfies never;
  }
}

async function describeWasm(tf: TensorFlowJs): Promise<string> {
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  const threads = await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT');
  return `tfjs-backend-wasm${threads ? '-threaded' : ''}${simd ? '-simd' : ''}.wasm, 1 thread`;
}

async function openMatmul(work: MatrixProduct, name: TensorFlowBackend): Promise<Implementation | Absent> {
  const loaded = await loadTensorFlow(name);
  if ('absent' in loaded) return loaded;
  const { tf, registered, version, description } = loaded;
  const left = tf.tensor2d(work.left.slice(), [work.m, work.k]);
  const right = tf.tensor2d(work.right.slice(), [work.k, work.n]);
  let output = tf.matMul(left, right);
  const step = (): void => {
    output.dispose();
    output = tf.matMul(left, right);
  };
  return {
    version,
    notes: [description, 'tf.matMul of tensors that are ready'],
    async reset() {
      await tf.setBackend(registered);
    },
    // A call of this backend is complete when it returns; data() would add a copy of the output.
    run: (steps) => timeSteps(steps, step),
    result: async () => Float32Array.from(await output.data()),
    async close() {
      await tf.setBackend(registered);
      tf.dispose([left, right, output]);
    },
  };
}

/** Kernels of the net's gradient that some backends lack. */
const neededForTraining: Readonly<Record<Net['name'], readonly string[]>> = {
  mlp: [],
  cnn: ['Conv2DBackpropFilter', 'MaxPoolGrad'],
  gpt: ['BatchMatMul', 'Erf'],
};

/** Batches are prepared as float32 tensors. */
async function openStep(work: TrainingStep, name: TensorFlowBackend): Promise<Implementation | Absent> {
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
  const starts = tensorsOfParameters(tf, net, work.initial);
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
      for (const { inputs, labels } of batches) tf.dispose([inputs, labels]);
    },
  };
}

const peerOn = (backend: TensorFlowBackend) => ({
  name: `TensorFlow.js ${backend}`,
  openStep: (work: TrainingStep) => openStep(work, backend),
});

export default [
  { ...peerOn('wasm'), openMatmul: (work) => openMatmul(work, 'wasm') },
  // Plain JavaScript, for the net that wasm cannot train.
  { ...peerOn('cpu'), only: 'bench', nets: ['cnn'] },
  { ...peerOn('node'), openMatmul: (work) => openMatmul(work, 'node') },
] satisfies readonly Peer[];

/** The page of the benchmark `tab`: runs candidates as Node asks it to. */
import { errorMessage } from '@lockstep/data/shown';
import { createMicrobatchGradient, resolveModel } from '@lockstep/nn';
import { openBackend } from '@lockstep/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { Tab, TabCandidate, TabWork } from '../src/cases/tab.ts';
import { joinParameters, meanLossOf, mlpNet, tensorBatch, tensorsOfParameters, timeSteps } from '../src/work.ts';
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import '@tensorflow/tfjs-layers';

/** Computes one gradient after another, each read back, at the initial parameters of 784-128-10. */
interface Gradient {
  readonly version?: string;
  readonly notes: readonly string[];
  /** Makes this backend the library's active one. */
  activate?(): Promise<void>;
  /** The gradient of the mean loss of batch `index`, read back, one array per parameter in model order. */
  step(index: number): Promise<readonly Float32Array[]>;
  close(): void;
}

async function openLockstep(work: TabWork, name: 'cpu' | 'webgl' | 'webgpu'): Promise<Gradient> {
  const { backend, choice } = await openBackend(name);
  const parameters = backend.allocate(work.initial.length);
  backend.upload(parameters, work.initial);
  const gradient = createMicrobatchGradient(backend, resolveModel('mlp'), work.batchSize, parameters);
  return {
    notes: [choice, 'compiled gradient, from bytes that each step uploads, read back whole'],
    async step(index) {
      const { samples, labels } = work.batches[index]!;
      gradient.run(samples, labels);
      const sums = await backend.download(gradient.output);
      // The gradient is followed by the sum of the losses and the number of correct answers.
      return [sums.subarray(0, work.initial.length).map((sum) => sum / labels.length)];
    },
    close() {
      gradient.dispose();
      backend.free(parameters);
    },
  };
}

// Turns off debug checks, as in Node.
tf.enableProdMode();

async function openTensorflow(work: TabWork, name: 'webgl' | 'webgpu'): Promise<Gradient> {
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js finds no ${name} here`);
  await tf.ready();
  const batches = work.batches.map((batch) => tensorBatch(tf, mlpNet, batch));
  const variables = tensorsOfParameters(tf, mlpNet, work.initial).map((tensor) => tf.variable(tensor));
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
      for (const { inputs, labels } of batches) tf.dispose([inputs, labels]);
    },
  };
}

interface Opened {
  readonly gradient: Gradient;
  readonly batchCount: number;
  next: number;
  last: readonly Float32Array[];
}

const opened = new Map<TabCandidate, Opened>();

const tab: Tab = {
  async open(name, work) {
    try {
      const [library, device] = name.split(' ') as ['lockstep' | 'TensorFlow.js', 'webgl' | 'webgpu'];
      const gradient = await (library === 'lockstep' ? openLockstep(work, device) : openTensorflow(work, device));
      opened.set(name, { gradient, batchCount: work.batches.length, next: 0, last: [] });
      const { version, notes } = gradient;
      return { notes, ...(version !== undefined && { version }) };
    } catch (error) {
      return { absent: errorMessage(error) };
    }
  },
  async reset(name) {
    const candidate = opened.get(name)!;
    candidate.next = 0;
    await candidate.gradient.activate?.();
  },
  run(name, steps) {
    const candidate = opened.get(name)!;
    return timeSteps(steps, async () => {
      candidate.last = await candidate.gradient.step(candidate.next++ % candidate.batchCount);
    });
  },
  result: (name) => joinParameters(opened.get(name)!.last),
  close(name) {
    opened.get(name)?.gradient.close();
    opened.delete(name);
  },
};

Object.assign(globalThis, { tab });

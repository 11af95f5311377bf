/** Other frameworks at the same work: the same initial weights, batches and learning rate as Lockstep's runs. */
import { availableParallelism } from 'node:os';
import { createShardSource } from '@lockstep/compute';
import type { Dataset } from '@lockstep/data';
import { initialize } from '@lockstep/nn';
import { planRun } from '@lockstep/rules';
import type { Case } from '../benchmark.ts';
import { trainingCase } from '../mnist.ts';
import { cnnNet, type MnistStep, type Net, netOf } from '../nets.ts';
import { openJaxStep } from '../peers/jax.ts';
import type { PytorchGroup } from '../peers/pytorch.ts';
import { openTensorflowStep } from '../peers/tensorflow.ts';
import type { Training } from './grid.ts';
import { ddpName, pytorchName, pytorchThreadsName } from './results.ts';

/** Images that a peer cycles through. They are held as float32, so more of them would fit its caches worse. */
const images = 4_096;

const cnnLayers = JSON.stringify(cnnNet.model.layers);

/** The net that peers have a program for, or undefined if the model has neither form. */
export function peerNet({ model }: Pick<Training, 'model'>): Net | undefined {
  if (JSON.stringify(model.layers) === cnnLayers && model.input.join() === '28,28,1') return cnnNet;
  const [first, between, last, ...rest] = model.layers;
  const isPerceptron =
    model.input.join() === '784' &&
    first?.type === 'dense' &&
    between?.type === 'relu' &&
    last?.type === 'dense' &&
    last.units === 10 &&
    rest.length === 0;
  return isPerceptron ? netOf('mlp', model) : undefined;
}

/** The first batches of the run that Lockstep's rows train on. */
export function peerWork(training: Training, net: Net, train: Dataset, seed: number): MnistStep {
  const { batch, model, learningRate } = training;
  const steps = Math.max(2, Math.ceil(images / batch));
  const plan = planRun({ samples: train.count, batch, epochs: steps, steps });
  const samples = createShardSource(train, plan, seed);
  const shards = Array.from({ length: steps }, (_, step) => samples.shard(step, 0, plan.microbatches));
  const batches = shards
    .filter(({ count }) => count === batch)
    .map(({ samples: pixels, targets }) => ({ pixels: Uint8Array.from(pixels), labels: Uint8Array.from(targets) }));
  return { net, batchSize: batch, learningRate, batches, initial: initialize(model, seed) };
}

/** jax-js needs tens of milliseconds per image for convolutions: one step would outlast all other measurements. */
const jaxElsewhere = {
  absent:
    'one step of this net at this batch takes it seconds; npm run bench -- --benchmark cnn-step measures it at 64',
} as const;

/** Every peer as a candidate of one case. */
export function peerCase(training: Training, work: MnistStep, group: PytorchGroup): Promise<Case> {
  const cores = availableParallelism();
  const isTooSlowForJax = work.net.name === 'cnn' && work.batchSize > 64;
  return trainingCase(training.name, work, 1, [
    { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work, 'wasm') },
    { name: 'TensorFlow.js node', open: () => openTensorflowStep(work, 'node') },
    { name: 'jax-js wasm', open: async () => (isTooSlowForJax ? jaxElsewhere : openJaxStep(work)) },
    { name: pytorchName, open: () => group.open(work, 'single') },
    ...(cores > 1 ? [{ name: pytorchThreadsName(cores), open: () => group.open(work, { threads: cores }) }] : []),
    { name: ddpName, open: () => group.open(work, 'ddp') },
  ]);
}

/** How long one gradient step of the MNIST net takes, compared with the peers. */
import { initialize, resolveModel } from '@lockstep/nn';
import type { Benchmark, Case } from '../benchmark.ts';
import { openJaxStep } from '../peers/jax/mnist-step.ts';
import { openLockstepStep } from '../peers/lockstep/mnist-step.ts';
import { openPytorchStep } from '../peers/pytorch.ts';
import { openTensorflowStep } from '../peers/tensorflow/mnist-step.ts';
import { loadTrainingSet } from '../workloads/mnist-data.ts';
import { cutBatches, type MnistStep, trainingCase, withoutZeros } from '../workloads/mnist-step.ts';
import { mlpNet } from '../workloads/net.ts';

const images = 4096;
const checkedSteps = 5;

export const gradientStep: Benchmark = {
  kind: 'comparison',
  name: 'gradient-step',
  title: '784-128-10 on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    `The first ${images} training images of MNIST, in batches; learning rate 0.1. 19 % of their pixels are not zero.`,
    'Lockstep on cpu skips products with a zero pixel, which changes no bit; the peers multiply by it.',
    'MNIST as it is: "batch 64" and "batch 512". "Without zeros" raises every black pixel to 1 of 255, so that no product can',
    'be skipped: it shows what the same step takes on data that are not mostly black.',
    'One thread each. Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.',
    `Every candidate is first checked against ${checkedSteps} steps in double precision: "off by" is the relative distance of its change`,
    'of the weights from the reference, "loss" that of its weights on the first batch. Every timed burst starts from the same weights.',
  ],
  async cases() {
    const train = await loadTrainingSet();
    const batchesOf = (batchSize: number) => cutBatches(train, batchSize, images / batchSize);
    const work = { net: mlpNet, learningRate: 0.1, initial: initialize(resolveModel('mlp'), 1) };
    return [
      caseOf('batch 64', { ...work, batchSize: 64, batches: batchesOf(64) }),
      caseOf('batch 64, without zeros', { ...work, batchSize: 64, batches: withoutZeros(batchesOf(64)) }),
      caseOf('batch 512', { ...work, batchSize: 512, batches: batchesOf(512) }),
    ];
  },
};

function caseOf(name: string, work: MnistStep): Case {
  return trainingCase(name, work, checkedSteps, [
    { name: 'lockstep cpu', open: () => openLockstepStep(work, 'cpu') },
    { name: 'lockstep reference', open: () => openLockstepStep(work, 'reference') },
    { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work, 'wasm') },
    { name: 'TensorFlow.js node', open: () => openTensorflowStep(work, 'node') },
    { name: 'jax-js wasm', open: () => openJaxStep(work) },
    { name: 'PyTorch CPU', open: () => openPytorchStep(work) },
  ]);
}

/** How long one step of the small convolutional net takes, compared with the peers. */
import type { Benchmark } from '../benchmark.ts';
import { openJaxStep } from '../peers/jax/mnist-step.ts';
import { openLockstepStep } from '../peers/lockstep/mnist-step.ts';
import { openPytorchStep } from '../peers/pytorch.ts';
import { openTensorflowStep } from '../peers/tensorflow/mnist-step.ts';
import { mnistWork } from '../workloads/mnist-data.ts';
import { trainingCase } from '../workloads/mnist-step.ts';
import { cnnNet } from '../workloads/net.ts';

const batchSize = 64;
const batchCount = 8;

export const cnnStep: Benchmark = {
  kind: 'comparison',
  name: 'cnn-step',
  title: 'The small convolutional net on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    'Twice a 5 x 5 convolution (8 channels, then 16), ReLU and 2 x 2 max-pooling, then 10 dense units: 11,274 parameters.',
    `The first ${batchSize * batchCount} training images of MNIST, batches of ${batchSize}; learning rate 0.1. One thread each.`,
    'Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.',
    'Every candidate is first checked against one step in double precision: "off by" is the relative distance of its change',
    'of the weights from the reference, "loss" that of its weights on the first batch. Every timed burst starts from the same weights.',
  ],
  async cases() {
    const work = await mnistWork(cnnNet, batchSize, batchCount);
    return [
      trainingCase(`batch ${batchSize}`, work, 1, [
        { name: 'lockstep cpu', open: () => openLockstepStep(work, 'cpu') },
        { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work, 'wasm') },
        { name: 'TensorFlow.js cpu', open: () => openTensorflowStep(work, 'cpu') },
        { name: 'TensorFlow.js node', open: () => openTensorflowStep(work, 'node') },
        { name: 'jax-js wasm', open: () => openJaxStep(work) },
        { name: 'PyTorch CPU', open: () => openPytorchStep(work) },
      ]),
    ];
  },
};

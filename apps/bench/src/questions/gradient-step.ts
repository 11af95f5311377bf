/** Question: how long does one gradient step of the MNIST net take, and how does that compare with the peers? */
import { loadMnist } from '@lockstep/data/node';
import { initialize, resolveModel } from '@lockstep/nn';
import { openJaxStep } from '../peers/jax/mnist-step.ts';
import { openLockstepStep } from '../peers/lockstep/mnist-step.ts';
import { openPytorchStep } from '../peers/pytorch.ts';
import { openTensorflowStep } from '../peers/tensorflow/mnist-step.ts';
import type { Case, Question } from '../question.ts';
import { cutBatches, type MnistStep, weightsJudge, withoutZeros } from '../work/mnist-step.ts';
import { mlpNet } from '../work/net.ts';

const images = 4096;
const judgedSteps = 5;
const seed = 1;

export const gradientStep: Question = {
  kind: 'race',
  name: 'gradient-step',
  title: '784-128-10 on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    `The first ${images} training images of MNIST, in batches; learning rate 0.1. 19 % of their pixels are not zero.`,
    'Lockstep on cpu skips products with a zero pixel, which changes no bit; the peers multiply by it.',
    'MNIST as it is: "batch 64" and "batch 512". "Without zeros" raises every black pixel to 1 of 255, so that nothing of the',
    'images can be skipped: it says what the same step takes on data that are not mostly black.',
    'One thread each. Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.',
    `Every contender is first held against ${judgedSteps} steps in double precision: "off by" is the relative distance of its change of`,
    'the weights from the true one, "loss" that of its weights on the first batch. Every timed burst starts from the same weights.',
  ],
  async cases() {
    const { train } = await loadMnist();
    const batchesOf = (batchSize: number) => cutBatches(train.images, train.labels, batchSize, images / batchSize);
    const work = { net: mlpNet, learningRate: 0.1, initial: initialize(resolveModel('mlp'), seed) };
    return [
      caseOf('batch 64', { ...work, batchSize: 64, batches: batchesOf(64) }),
      caseOf('batch 64, without zeros', { ...work, batchSize: 64, batches: withoutZeros(batchesOf(64)) }),
      caseOf('batch 512', { ...work, batchSize: 512, batches: batchesOf(512) }),
    ];
  },
};

function caseOf(name: string, work: MnistStep): Case {
  return {
    name,
    workPerStep: { amount: work.batchSize, unit: 'images' },
    judgedSteps,
    tolerance: 1e-4,
    figureName: 'loss',
    judge: weightsJudge(work, judgedSteps),
    entrants: [
      { name: 'lockstep cpu', open: () => openLockstepStep(work, 'cpu') },
      { name: 'lockstep reference', open: () => openLockstepStep(work, 'reference') },
      { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work, 'wasm') },
      { name: 'TensorFlow.js node', open: () => openTensorflowStep(work, 'node') },
      { name: 'jax-js wasm', open: () => openJaxStep(work) },
      { name: 'PyTorch CPU', open: () => openPytorchStep(work) },
    ],
  };
}

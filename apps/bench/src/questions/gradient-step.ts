/** Question: how long does one gradient step of the MNIST net take, and how does that compare with the peers? */
import { loadMnist } from '@lockstep/data/node';
import { initialise, resolveModel } from '@lockstep/nn';
import { openJaxStep } from '../peers/jax.ts';
import { openLockstepStep } from '../peers/lockstep.ts';
import { openPytorchStep } from '../peers/pytorch.ts';
import { openTensorflowStep } from '../peers/tensorflow.ts';
import type { Case, Question } from '../question.ts';
import { cutBatches, type MnistStep, weightsJudge } from '../work/mnist-step.ts';

const batchSizes = [64, 512] as const;
const images = 4096;
const judgedSteps = 5;
const seed = 1;

export const gradientStep: Question = {
  name: 'gradient-step',
  title: '784-128-10 on MNIST: gradient of the mean cross-entropy and one SGD step',
  method: [
    `The first ${images} training images of MNIST, in batches; learning rate 0.1. 19 % of their pixels are not zero.`,
    'Lockstep on cpu skips products with a zero pixel, which changes no bit; the peers multiply by it.',
    'One thread each. Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.',
    `Every contender is first held against ${judgedSteps} steps in double precision: "off by" is the relative distance of its change of`,
    'the weights from the true one, "loss" that of its weights on the first batch. Every timed burst starts from the same weights.',
  ],
  async cases() {
    const { train } = await loadMnist();
    const initial = initialise(resolveModel('mlp'), seed);
    return batchSizes.map((batchSize) =>
      caseOf({
        batchSize,
        learningRate: 0.1,
        batches: cutBatches(train.images, train.labels, batchSize, images / batchSize),
        initial,
      }),
    );
  },
};

function caseOf(work: MnistStep): Case {
  return {
    name: `batch ${work.batchSize}`,
    workPerStep: { amount: work.batchSize, unit: 'images' },
    judgedSteps,
    tolerance: 1e-4,
    figureName: 'loss',
    judge: weightsJudge(work, judgedSteps),
    entrants: [
      { name: 'lockstep cpu', open: () => openLockstepStep(work, 'cpu') },
      { name: 'lockstep reference', open: () => openLockstepStep(work, 'reference') },
      { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work) },
      { name: 'jax-js wasm', open: () => openJaxStep(work) },
      { name: 'PyTorch CPU', open: () => openPytorchStep(work) },
    ],
  };
}

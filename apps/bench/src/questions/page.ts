/** Question: how long does a gradient take on the GPU of a browser's page, and how does that compare with TensorFlow.js there? */
import { loadMnist } from '@lockstep/data/node';
import { initialize, resolveModel } from '@lockstep/nn';
import { sharedPage } from '../peers/page.ts';
import type { Case, Race } from '../question.ts';
import { cutBatches, gradientJudge, type MnistStep } from '../work/mnist-step.ts';
import { mlpNet } from '../work/net.ts';

const batchSize = 64;
const batchCount = 16;
const judgedSteps = 3;
const seed = 1;
const shared = sharedPage();

export const page: Race = {
  kind: 'race',
  name: 'page',
  title: '784-128-10 on MNIST in a page of Chromium: gradients of batch 64 on WebGL and WebGPU, read back',
  method: [
    'One page, bundled and minified, on a software adapter (SwiftShader): a GPU in name only, the same for all contenders.',
    'A step is the gradient of the mean cross-entropy at the initial weights, which stay on the device, and all of it read back.',
    'Lockstep uploads the bytes of its pixels at every step, as a worker does; TensorFlow.js finds its batches on the device.',
    `"Off by" is the relative distance of the gradient of batch ${judgedSteps} from that in double precision, "norm" its Euclidean norm.`,
  ],
  async cases() {
    const { train } = await loadMnist();
    const work: MnistStep = {
      net: mlpNet,
      batchSize,
      learningRate: 0,
      batches: cutBatches(train.images, train.labels, batchSize, batchCount),
      initial: initialize(resolveModel('mlp'), seed),
    };
    return [caseOf(work, 'webgl'), caseOf(work, 'webgpu')];
  },
  close: () => shared.close(),
};

function caseOf(work: MnistStep, api: 'webgl' | 'webgpu'): Case {
  const names = [`lockstep ${api}`, `TensorFlow.js ${api}`] as const;
  return {
    name: `${api}, batch ${batchSize}`,
    workPerStep: { amount: batchSize, unit: 'images' },
    judgedSteps,
    tolerance: 1e-4,
    figureName: 'norm',
    judge: gradientJudge(work, judgedSteps),
    entrants: names.map((name) => ({ name, open: () => shared.openGradient(work, name) })),
  };
}

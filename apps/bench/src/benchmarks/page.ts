/** How long a gradient takes on the GPU of a browser's page, compared with TensorFlow.js there. */
import type { Case, Comparison } from '../benchmark.ts';
import { SharedPage } from '../peers/page.ts';
import { mnistWork } from '../workloads/mnist-data.ts';
import { gradientCheck, type MnistStep } from '../workloads/mnist-step.ts';
import { mlpNet } from '../workloads/net.ts';

const batchSize = 64;
const batchCount = 16;
const checkedSteps = 3;
const shared = new SharedPage();

export const page: Comparison = {
  kind: 'comparison',
  name: 'page',
  title: '784-128-10 on MNIST in a page of Chromium: gradients of batch 64 on WebGL and WebGPU, read back',
  method: [
    'One page, bundled and minified, on a software adapter (SwiftShader): a GPU in name only, the same for all candidates.',
    'A step is the gradient of the mean cross-entropy at the initial weights, which stay on the device, and all of it read back.',
    'Lockstep uploads the bytes of its pixels at every step, as a worker does; TensorFlow.js finds its batches on the device.',
    `"Off by" is the relative distance of the gradient of batch ${checkedSteps} from that in double precision, "norm" its Euclidean norm.`,
  ],
  async cases() {
    const work = await mnistWork(mlpNet, batchSize, batchCount);
    return [caseOf(work, 'webgl'), caseOf(work, 'webgpu')];
  },
  close: () => shared.close(),
};

function caseOf(work: MnistStep, api: 'webgl' | 'webgpu'): Case {
  const names = [`lockstep ${api}`, `TensorFlow.js ${api}`] as const;
  return {
    name: `${api}, batch ${batchSize}`,
    workPerStep: { amount: batchSize, unit: 'images' },
    checkedSteps,
    tolerance: 1e-4,
    figureName: 'norm',
    check: gradientCheck(work, checkedSteps),
    candidates: names.map((name) => ({ name, open: () => shared.openGradient(work, name) })),
  };
}

/** The table of benchmarks. */
import { initialize } from '@lockstep/nn';
import type { Benchmark, Case } from './benchmark.ts';
import { cutBatches, gradientDistance, loadTrainingSet, mnistWork, trainingCase, withoutZeros } from './mnist.ts';
import { cnnNet, type MnistStep, mlpNet } from './nets.ts';
import { SharedPage } from './peers/browser.ts';
import { openJaxMatmul, openJaxStep } from './peers/jax.ts';
import { openLockstepMatmul, openLockstepStep } from './peers/lockstep.ts';
import { openPytorchStep } from './peers/pytorch.ts';
import { openTensorflowMatmul, openTensorflowStep } from './peers/tensorflow.ts';
import { denseProduct, floatingPointOperations, productDistance } from './product.ts';

const fromBytes = 'Lockstep starts every step from the bytes of its pixels; the peers find theirs ready as float32.';

function checkedAfter(steps: string): string[] {
  return [
    `Every candidate is first checked against ${steps} on plain loops: "off by" is the relative distance of its change of the`,
    'weights from theirs. Every timed burst starts from the same weights.',
  ];
}

function gradientStep(): Benchmark {
  const images = 4096;
  const checkedSteps = 5;
  const caseOf = (name: string, work: MnistStep): Promise<Case> =>
    trainingCase(name, work, checkedSteps, [
      { name: 'lockstep cpu', open: () => openLockstepStep(work, 'cpu') },
      { name: 'TensorFlow.js wasm', open: () => openTensorflowStep(work, 'wasm') },
      { name: 'TensorFlow.js node', open: () => openTensorflowStep(work, 'node') },
      { name: 'jax-js wasm', open: () => openJaxStep(work) },
      { name: 'PyTorch CPU', open: () => openPytorchStep(work) },
    ]);
  return {
    name: 'gradient-step',
    title: '784-128-10 on MNIST: gradient of the mean cross-entropy and one SGD step',
    method: [
      `The first ${images} training images of MNIST, in batches; learning rate 0.1. 19 % of their pixels are not zero.`,
      'Lockstep on cpu skips products with a zero pixel, which changes no bit; the peers multiply by it.',
      'MNIST as it is: "batch 64" and "batch 512". "Without zeros" raises every black pixel to 1 of 255, so that no product can',
      'be skipped: it shows what the same step takes on data that are not mostly black.',
      `One thread each. ${fromBytes}`,
      ...checkedAfter(`${checkedSteps} steps`),
    ],
    async cases() {
      const train = await loadTrainingSet();
      const batchesOf = (batchSize: number) => cutBatches(train, batchSize, images / batchSize);
      const work = { net: mlpNet, learningRate: 0.1, initial: initialize(mlpNet.model, 1) };
      return [
        await caseOf('batch 64', { ...work, batchSize: 64, batches: batchesOf(64) }),
        await caseOf('batch 64, without zeros', { ...work, batchSize: 64, batches: withoutZeros(batchesOf(64)) }),
        await caseOf('batch 512', { ...work, batchSize: 512, batches: batchesOf(512) }),
      ];
    },
  };
}

function matmul(): Benchmark {
  const caseOf = (m: number, k: number, n: number): Case => {
    const work = denseProduct(m, k, n);
    return {
      name: `${m} x ${k} x ${n}`,
      workPerStep: { amount: floatingPointOperations(work) / 1e9, unit: 'GFLOP' },
      checkedSteps: 1,
      tolerance: 1e-5,
      distance: productDistance(work),
      candidates: [
        { name: 'lockstep cpu', open: () => openLockstepMatmul(work, 'cpu') },
        { name: 'TensorFlow.js wasm', open: () => openTensorflowMatmul(work, 'wasm') },
        { name: 'TensorFlow.js node', open: () => openTensorflowMatmul(work, 'node') },
        { name: 'jax-js wasm', open: () => openJaxMatmul(work) },
      ],
    };
  };
  return {
    name: 'matmul',
    title: 'One dense product of two float32 matrices',
    method: [
      'Values in (-1, 1) without a zero, so that no product can be skipped. Operands lie ready in the form that a candidate takes.',
      'One thread each. A multiplication and an addition count as two operations.',
      '"Off by" is the relative distance from the product in double precision.',
    ],
    cases: async () => [caseOf(64, 784, 128), caseOf(512, 1024, 1024)],
  };
}

function cnnStep(): Benchmark {
  const [batchSize, batchCount] = [64, 8];
  return {
    name: 'cnn-step',
    title: 'The small convolutional net on MNIST: gradient of the mean cross-entropy and one SGD step',
    method: [
      'Twice a 5 x 5 convolution (8 channels, then 16), ReLU and 2 x 2 max-pooling, then 10 dense units: 11,274 parameters.',
      `The first ${batchSize * batchCount} training images of MNIST, batches of ${batchSize}; learning rate 0.1. One thread each.`,
      fromBytes,
      ...checkedAfter('one step'),
    ],
    async cases() {
      const work = await mnistWork(cnnNet, batchSize, batchCount);
      return [
        await trainingCase(`batch ${batchSize}`, work, 1, [
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
}

function page(): Benchmark {
  const [batchSize, batchCount, checkedSteps] = [64, 16, 3];
  const shared = new SharedPage();
  return {
    name: 'page',
    title: '784-128-10 on MNIST in a page of Chromium: gradients of batch 64 on WebGL and WebGPU, read back',
    method: [
      'One page, bundled and minified, on a software adapter (SwiftShader): a software renderer, the same for all candidates.',
      'A step is the gradient of the mean cross-entropy at the initial weights, which stay on the device, and all of it read back.',
      'Lockstep uploads the bytes of its pixels at every step, as a worker does; TensorFlow.js finds its batches on the device.',
      `"Off by" is the relative distance of the gradient of batch ${checkedSteps} from that of plain loops.`,
    ],
    async cases() {
      const work = await mnistWork(mlpNet, batchSize, batchCount);
      const distance = await gradientDistance(work, work.batches[checkedSteps - 1]!);
      return (['webgl', 'webgpu'] as const).map((api) => ({
        name: `${api}, batch ${batchSize}`,
        workPerStep: { amount: batchSize, unit: 'images' },
        checkedSteps,
        tolerance: 1e-4,
        distance,
        candidates: ([`lockstep ${api}`, `TensorFlow.js ${api}`] as const).map((name) => ({
          name,
          open: () => shared.openGradient(work, name),
        })),
      }));
    },
    close: () => shared.close(),
  };
}

export const benchmarks: readonly Benchmark[] = [gradientStep(), matmul(), cnnStep(), page()];

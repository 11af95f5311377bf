/** How fast one dense matrix product is, compared with the peers. */
import { type HostBackendName, hostBackendNames } from '@lockstep/tensor';
import type { Benchmark, Case } from '../benchmark.ts';
import { openGpuJsMatmul } from '../peers/gpujs.ts';
import { openJaxMatmul } from '../peers/jax/matmul.ts';
import { openLockstepMatmul } from '../peers/lockstep/matmul.ts';
import { openTensorflowMatmul } from '../peers/tensorflow/matmul.ts';
import { denseProduct, floatingPointOperations, productCheck } from '../workloads/product.ts';

/** The fast backends, after the baseline `cpu`. */
const cpuBackends: readonly HostBackendName[] = [
  'cpu',
  ...hostBackendNames.filter((name) => name !== 'cpu' && name !== 'reference'),
];

export const matmul: Benchmark = {
  kind: 'comparison',
  name: 'matmul',
  title: 'One dense product of two float32 matrices',
  method: [
    'Values in (-1, 1) without a zero, so that no product can be skipped. Operands lie ready in the form that a candidate takes.',
    'One thread each. A multiplication and an addition count as two operations.',
    '"Off by" is the relative distance from the product in double precision, "norm" the Euclidean norm of the output.',
  ],
  async cases() {
    return [caseOf(64, 784, 128), caseOf(512, 1024, 1024)];
  },
};

function caseOf(m: number, k: number, n: number): Case {
  const work = denseProduct(m, k, n);
  return {
    name: `${m} x ${k} x ${n}`,
    workPerStep: { amount: floatingPointOperations(work) / 1e9, unit: 'GFLOP' },
    checkedSteps: 1,
    tolerance: 1e-5,
    figureName: 'norm',
    check: productCheck(work),
    candidates: [
      ...cpuBackends.map((name) => ({ name: `lockstep ${name}`, open: () => openLockstepMatmul(work, name) })),
      { name: 'TensorFlow.js wasm', open: () => openTensorflowMatmul(work, 'wasm') },
      { name: 'TensorFlow.js node', open: () => openTensorflowMatmul(work, 'node') },
      { name: 'jax-js wasm', open: () => openJaxMatmul(work) },
      { name: 'gpu.js webasm', open: () => openGpuJsMatmul(work) },
    ],
  };
}

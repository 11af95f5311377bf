/** Made-up results of comparisons, for tests of how they are shown. */
import { availableParallelism } from 'node:os';
import { gridOf } from '../src/compare/grid.ts';
import { type MeasuredTraining, type Workers, workersName } from '../src/compare/measure.ts';
import { type ComparedTraining, comparedTraining } from '../src/compare/results.ts';
import { ddpName, pytorchName } from '../src/peers/pytorch.ts';
import { reportOf, type SampleOptions } from './sample-report.ts';

const [training] = gridOf({ model: ['mlp'], batch: [512], steps: 20, lr: undefined }, '');
export const sampleTraining = { ...training!, rounds: 2 };

const cores = availableParallelism();

/** A row of Lockstep with these milliseconds per step in its rounds; `threads` means all cores, `processes` two. */
export function own(
  workers: number | 'single' | 'threads' | 'processes',
  stepMs: readonly number[],
  options: SampleOptions = {},
): MeasuredTraining {
  const computing = computingOf(workers);
  return {
    kind: 'lockstep',
    name: workersName(computing),
    workers: computing,
    command: `npm start -- --workers ${workers}`,
    msPerStep: stepMs,
    reports: stepMs.map((ms) => reportOf({ workers, stepMs: ms, computeMs: ms / 2, ...options })),
  };
}

function computingOf(workers: number | 'single' | 'threads' | 'processes'): Workers {
  if (typeof workers === 'number') return { kind: 'workers', count: workers };
  if (workers === 'processes') return { kind: 'processes', count: 2 };
  return { kind: 'threads', count: workers === 'single' ? 1 : cores };
}

export const peer = (name: string, msPerStep: readonly number[]): MeasuredTraining => ({
  kind: 'peer',
  name,
  version: '1.2.3',
  notes: ['1 thread'],
  distance: 1e-7,
  msPerStep,
});

export const absent: MeasuredTraining = {
  kind: 'missing',
  name: 'jax-js wasm',
  status: 'absent',
  reason: 'no <WebAssembly> here',
};

/**
 * A result of two rounds, the second at half the speed, with PyTorch and DDP; two processes are as fast as two workers.
 */
export function measured(singleMs: number, oneMs: number, twoMs: number): ComparedTraining {
  return comparedTraining(
    sampleTraining,
    [
      own('single', [singleMs, singleMs * 2]),
      own(1, [oneMs, oneMs * 2]),
      own(2, [twoMs, twoMs * 2]),
      own('processes', [twoMs, twoMs * 2]),
      peer(pytorchName, [4, 4]),
      peer(ddpName, [8]),
      absent,
    ],
    0.5,
  );
}

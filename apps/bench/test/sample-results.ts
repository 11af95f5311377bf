/** Results of comparisons that were never run, for tests of what is shown of them. */
import { gridOf } from '../src/compare/grid.ts';
import type { Measured } from '../src/compare/measure.ts';
import { ddpName, pytorchName, resultOf, type TrainingResult } from '../src/compare/results.ts';
import { reportOf, type SampleOptions } from './sample-report.ts';

export const [sampleTraining] = gridOf({ model: ['mlp'], batch: [512], steps: 20, lr: undefined });

/** A row of Lockstep whose rounds took so many milliseconds a step. */
export function own(workers: number | 'single', stepMs: readonly number[], options: SampleOptions = {}): Measured {
  return {
    kind: 'lockstep',
    name: workers === 'single' ? 'one process' : `${workers} worker${workers === 1 ? '' : 's'}`,
    workers: workers === 'single' ? { kind: 'single' } : { kind: 'workers', count: workers },
    command: `npm start -- --workers ${workers}`,
    msPerStep: stepMs,
    reports: stepMs.map((ms) => reportOf({ workers, stepMs: ms, computeMs: ms / 2, ...options })),
  };
}

export const peer = (name: string, msPerStep: readonly number[]): Measured => ({
  kind: 'peer',
  name,
  version: '1.2.3',
  notes: ['1 thread'],
  distance: 1e-7,
  msPerStep,
});

export const absent: Measured = {
  kind: 'missing',
  name: 'jax-js wasm',
  status: 'absent',
  reason: 'no <WebAssembly> here',
};

/** The result of two rounds, the second at half the speed, with PyTorch and DDP beside it. */
export function measured(singleMs: number, oneMs: number, twoMs: number): TrainingResult {
  return resultOf(
    sampleTraining!,
    [
      own('single', [singleMs, singleMs * 2]),
      own(1, [oneMs, oneMs * 2]),
      own(2, [twoMs, twoMs * 2]),
      peer(pytorchName, [4, 4]),
      peer(ddpName, [8]),
      absent,
    ],
    0.5,
  );
}

/** The cost of a coordinator beyond moving the bytes and adding them. */
import type { Benchmark, Case } from '../benchmark.ts';
import { openCoordinator } from '../peers/coordinator/open.ts';
import { batchOf, coordinatorCheck, microbatchSize, vectorBytes, warmUpSteps } from '../workloads/coordinator-load.ts';

const workerCounts = [1, 2, 4, 8];
const checkedSteps = 3;

export const coordinatorThroughput: Benchmark = {
  kind: 'comparison',
  name: 'coordinator-throughput',
  title: 'The coordinator alone: steps of 784-128-10 with workers that answer at once',
  method: [
    `For each worker and step ${vectorBytes.toLocaleString('en-US')} bytes of weights go out and as many of gradient come back, over loopback;`,
    `the pixels of batch ${batchOf(1)} are shared among the workers, microbatches of ${microbatchSize}. Workers answer at once with a ready gradient.`,
    `Each burst opens its sockets anew and takes ${warmUpSteps} steps before the clock starts.`,
    'One process for the coordinator and one for all its workers, on the same cores. Shares follow measured speeds, so that',
    'in some steps a worker of Lockstep sends nothing, whereas each worker of the bare star always does.',
    'Lockstep checks every message and every number, keeps deadlines, adds in a fixed tree and takes an SGD step. The bare star',
    'packs, sends, adds and steps, and checks nothing. "Off by" is the relative distance of the change of the weights from the',
    'reference, "norm" their Euclidean norm. A ratio of 0.8 or more at the bare star is what Lockstep aims at.',
  ],
  cases: async () => workerCounts.map(caseOf),
};

function caseOf(workers: number): Case {
  return {
    name: workers === 1 ? '1 worker' : `${workers} workers`,
    workPerStep: { amount: (2 * workers * vectorBytes) / 1e6, unit: 'MB' },
    checkedSteps,
    tolerance: 1e-4,
    figureName: 'norm',
    check: coordinatorCheck(checkedSteps),
    candidates: [
      { name: 'lockstep', open: () => openCoordinator('lockstep', workers) },
      { name: 'bare star', open: () => openCoordinator('bare', workers) },
    ],
  };
}

/** Question: what does a coordinator cost beyond moving the bytes and adding them? */
import { openStar } from '../peers/star/open.ts';
import type { Case, Question } from '../question.ts';
import { starBatch, starJudge, starMicrobatchSize, starVectorBytes, starWarmUpSteps } from '../work/star.ts';

const workerCounts = [1, 2, 4, 8];
const judgedSteps = 3;

export const star: Question = {
  kind: 'race',
  name: 'star',
  title: 'The coordinator alone: steps of 784-128-10 with workers that answer at once',
  method: [
    `For each worker and step ${starVectorBytes.toLocaleString('en-US')} bytes of weights go out and as many of gradient come back, over loopback;`,
    `the pixels of batch ${starBatch(1)} are shared among the workers, microbatches of ${starMicrobatchSize}. Workers answer at once with a ready gradient.`,
    `Each burst opens its sockets anew and takes ${starWarmUpSteps} steps before the clock starts.`,
    'A process for the coordinator, a second one for all its workers; whoever waits for the other waits on the same two cores.',
    'Lockstep checks every message and every number, keeps deadlines, adds in a fixed tree and takes an SGD step. The bare star',
    'packs, sends, adds and steps, and checks nothing. "Off by" is the relative distance of the change of the weights from the true',
    'one, "norm" their Euclidean norm. A ratio of 0.8 or more at the bare star is what Lockstep aims at.',
  ],
  cases: async () => workerCounts.map(caseOf),
};

function caseOf(workers: number): Case {
  return {
    name: workers === 1 ? '1 worker' : `${workers} workers`,
    workPerStep: { amount: (2 * workers * starVectorBytes) / 1e6, unit: 'MB' },
    judgedSteps,
    tolerance: 1e-4,
    figureName: 'norm',
    judge: starJudge(workers, judgedSteps),
    entrants: [
      { name: 'lockstep', open: () => openStar('lockstep', workers) },
      { name: 'bare star', open: () => openStar('bare', workers) },
    ],
  };
}

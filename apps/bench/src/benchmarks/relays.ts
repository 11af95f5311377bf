/** Bytes at the coordinator and time per step, with many workers in a star and behind relays. */
import type { Dataset } from '@lockstep/data';
import type { TrainOptions } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits, milliseconds, times } from '../figure-text.ts';
import { firstImages, type LinkedRun, runLinked } from '../workloads/linked-run.ts';

const workers = 64;
const relays = 4;
const [batch, microbatch] = [1_024, 16];
/** A few steps per epoch, so that all samples have soon been sent. */
const samples = 4 * batch;
const [warmUpSteps, steps] = [60, 40];
/** Limit of the coordinator's bytes, as a multiple of one worker's bytes. */
const mostTimes = 5;

export const relayTree: Benchmark = {
  kind: 'inspection',
  name: 'relays',
  title: `784-128-10: ${workers} workers in a star, and behind ${relays} relays`,
  method: [
    `Steps of ${batch.toLocaleString('en-US')} images in microbatches of ${microbatch}: one for each worker. Bytes are those that pass the coordinator in both directions in ${steps} steps, after`,
    `${warmUpSteps} in which samples travel. All is one process, so a step's time is that of all workers and relays together.`,
  ],
  async facts(progress) {
    const data = await firstImages(samples);
    const measure = async (name: string, count: number, relayCount: number): Promise<LinkedRun> => {
      progress(`relays: ${name}`);
      return runLinked({ options: optionsOf(data, count), workers: count, relays: relayCount, warmUpSteps });
    };
    const one = await measure('one worker', 1, 0);
    const star = await measure(`${workers} workers in a star`, workers, 0);
    const tree = await measure(`${workers} workers behind ${relays} relays`, workers, relays);
    return [bytesFact(one, star, tree), weightsFact([one, star, tree])];
  },
};

function optionsOf(data: Dataset, expect: number): TrainOptions {
  const allSteps = warmUpSteps + 1 + steps;
  const run = { steps: allSteps, epochs: allSteps, threads: 1, verifyRate: 0 } as const;
  // Every worker takes part in each step.
  return { ...run, data: { train: data, test: data }, batch, microbatch, expect, optimizer: { type: 'sgd' } };
}

function bytesFact(one: LinkedRun, star: LinkedRun, tree: LinkedRun): Fact {
  const [ofStar, ofTree] = [star, tree].map(({ bytesPerStep }) => bytesPerStep / one.bytesPerStep) as [number, number];
  const perStep = ({ bytesPerStep, msPerStep }: LinkedRun): string =>
    `${digits(bytesPerStep / 1e6)} MB and ${milliseconds(msPerStep)} ms a step`;
  return {
    name: `behind relays at most ${mostTimes} times the bytes of one worker pass the coordinator`,
    holds: ofTree <= mostTimes,
    message: `${times(ofTree)}, ${perStep(tree)}; in a star ${times(ofStar)}, ${perStep(star)}; one worker ${perStep(one)}`,
    figures: {
      ...{ treeTimes: ofTree, starTimes: ofStar, oneWorkerBytes: one.bytesPerStep },
      ...{ treeMsPerStep: tree.msPerStep, starMsPerStep: star.msPerStep, oneWorkerMsPerStep: one.msPerStep },
    },
  };
}

function weightsFact(runs: readonly LinkedRun[]): Fact {
  const hashes = new Set(runs.map(({ report }) => report.weightsSha256));
  const shards = runs.map(({ report }) => report.workers.reduce((sum, worker) => sum + worker.shards, 0));
  return {
    name: 'the weights are the same',
    holds: hashes.size === 1,
    message: `${[...hashes].map((hash) => hash.slice(0, 16)).join(', ')}; ${shards.join(', ')} gradients arrived`,
    figures: { differentWeights: hashes.size },
  };
}

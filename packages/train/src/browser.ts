/** The library in a page: runs in this thread and in its own threads, on data in memory; loaded models. */

import type { TrainOptions } from '@lockstep/prepare';
import { configurationError, optionName } from '@lockstep/worker';
import { mostThreads, tabThreads } from '@lockstep/worker/browser';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { TrainingPlatform } from './training-platform.ts';
import { TrainingRun } from './training-run.ts';

export { DataError } from '@lockstep/data';
export { datasetFrom, datasetFromPictures, splitDataset } from '@lockstep/data/readers';
export {
  type GenerateOptions,
  LoadedModel,
  type LoadModelOptions,
  loadModel,
  type ModelEvaluation,
  type OptimizerOptions,
  type Prediction,
  type RowPrediction,
  type TrainOptions,
  type ValuePrediction,
} from '@lockstep/prepare';
export type { EpochEvent, PreparedEvent, Report, SampleEvent, StepEvent, TrainingEvent } from '@lockstep/record';
export { ConfigurationError } from '@lockstep/worker';
export { TrainingError, type TrainingResult } from './training-result.ts';
export type { TrainingRun } from './training-run.ts';

/** Missing in the types of Node 20. */
interface Navigator {
  readonly userAgent: string;
  readonly hardwareConcurrency: number;
}

const { userAgent, hardwareConcurrency } = (globalThis as unknown as { navigator: Navigator }).navigator;

/** A page's main thread must not wait for others; a Web Worker may. */
const canWait = 'WorkerGlobalScope' in globalThis;

/** The platform of a run in a page, or in a page's Web Worker. */
const pagePlatform: TrainingPlatform = {
  machine: { runtime: userAgent, system: null, processor: null, cores: hardwareConcurrency },
  get cores() {
    return canWait ? mostThreads() : 1;
  },
  // A page cannot know; the engine refuses if there is too little.
  memoryBytes: Number.POSITIVE_INFINITY,
  threads(count) {
    if (count === 1 || canWait) return tabThreads(count);
    throw configurationError`${optionName('threads')}: expected 1 in a page's own thread, got ${count}; train in a Web Worker for more`;
  },
  openTensorFlow: undefined,
  sha256: (bytes) => bytesToHex(sha256(bytes)),
  newSha256() {
    const hash = sha256.create();
    return { update: (bytes) => hash.update(bytes), digest: () => bytesToHex(hash.digest()) };
  },
  async loadData() {
    throw configurationError`${optionName('data')}: expected { train, test } in a page, which has no folders`;
  },
  async loadAlike() {
    throw configurationError`${optionName('validation')}: expected a fraction or a data set in a page, which has no folders`;
  },
  host: undefined,
};

/** Starts to train. Errors are thrown by the run's result, and by a loop over the run. */
export function train(options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(options, pagePlatform);
}

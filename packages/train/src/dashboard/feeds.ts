/** Computations for viewers, done only while somebody watches: evaluations of the newest model, hashes and weights. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ParameterServer } from '@lockstep/compute';
import { sampleSize } from '@lockstep/data';
import { createConfusionEvaluator, createValueErrors, restoreValues } from '@lockstep/nn';
import { bytesOf, encodeWatch, type WatchMessageOf } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import { sha256 } from '../node/sha256.ts';
import type { Prepared } from '../prepared.ts';
import type { Viewer, Viewers } from './viewers.ts';

export interface EvaluationFeedOptions {
  readonly backend: HostBackend;
  readonly prepared: Pick<Prepared, 'model' | 'test'>;
  readonly onError: (error: unknown) => void;
}

const mostErrors = 16;
/** Maximum bytes of the samples in a message. */
const mostSampleBytes = 2 ** 20;
/** Largest number of classes whose confusion matrix a page shows. */
const maxShownClasses = 256;
/** Larger weights are kept only during their evaluation: later viewers see the next evaluation. */
const mostKeptParameters = 2 ** 22;

type Errors = Pick<WatchMessageOf<'evaluation'>, 'confusion' | 'topErrors' | 'farthest'>;
interface Evaluated {
  readonly epoch: number;
  readonly weights: Float32Array;
  /** Whether no other evaluation follows; the end of the run holds the same weights anyway. */
  readonly isLast: boolean;
}

type ErrorFinder = (weights: Float32Array) => Promise<Errors>;

export class EvaluationFeed {
  /** The last evaluation; undefined before the first. */
  message: WatchMessageOf<'evaluation'> | undefined;
  readonly #options: EvaluationFeedOptions;
  readonly #viewers: Pick<Viewers, 'size' | 'broadcast'>;
  /** Created for the first evaluation, so that a run without viewers pays nothing. */
  #findErrors: ErrorFinder | undefined;
  #newest: Evaluated | undefined;
  #isEvaluating = false;

  constructor(options: EvaluationFeedOptions, viewers: Pick<Viewers, 'size' | 'broadcast'>) {
    this.#options = options;
    this.#viewers = viewers;
  }

  /** Receives the weights at the end of an epoch, and may keep them. */
  add(evaluated: Evaluated): void {
    this.#newest = evaluated;
    this.refresh();
    this.#forgetLarge();
  }

  /** Evaluates the newest weights if there are viewers, once per set of weights and one evaluation at a time. */
  refresh(): void {
    const newest = this.#newest;
    const isDone = !newest || this.message?.epoch === newest.epoch;
    if (isDone || this.#isEvaluating || this.#viewers.size === 0) return;
    this.#isEvaluating = true;
    this.#evaluate(newest.epoch, newest.weights)
      .catch(this.#options.onError)
      .finally(() => {
        this.#isEvaluating = false;
        this.refresh();
        this.#forgetLarge();
      });
  }

  #forgetLarge(): void {
    if (this.#isEvaluating || !this.#newest || this.#newest.isLast) return;
    if (this.#newest.weights.length > mostKeptParameters) this.#newest = undefined;
  }

  async #evaluate(epoch: number, weights: Float32Array): Promise<void> {
    const { test } = this.#options.prepared;
    this.#findErrors ??= errorFinder(this.#options);
    const errors = await this.#findErrors(weights);
    this.message = { type: 'evaluation', epoch, outputs: test.targets.names.length, ...errors };
    this.#viewers.broadcast(this.message);
  }
}

function errorFinder({ backend, prepared }: EvaluationFeedOptions): ErrorFinder {
  const { model, test } = prepared;
  const { samples, targets } = test;
  const size = sampleSize(test);
  const most = Math.min(mostErrors, Math.floor(mostSampleBytes / (size * samples.BYTES_PER_ELEMENT)));
  const sampleOf = (index: number) => bytesOf(samples.subarray(index * size, (index + 1) * size));
  if (targets.type === 'values') {
    const { standardization } = targets;
    const evaluator = createValueErrors(backend, model, test, most);
    return async (weights) => {
      const errors = await evaluator.evaluate(weights, () => nextTurn());
      const farthest = errors.map(({ index, target, predicted }) => ({
        sample: sampleOf(index),
        target: bytesOf(restoreValues(target, standardization)),
        predicted: bytesOf(restoreValues(predicted, standardization)),
      }));
      return { topErrors: [], farthest };
    };
  }
  const evaluator = createConfusionEvaluator(backend, model, test, most);
  return async (weights) => {
    const { counts, topErrors } = await evaluator.evaluate(weights, () => nextTurn());
    return {
      ...(counts && targets.names.length <= maxShownClasses ? { confusion: bytesOf(counts) } : {}),
      topErrors: topErrors.map(({ index, ...error }) => ({ ...error, sample: sampleOf(index) })),
      farthest: [],
    };
  };
}

const hashDigits = 16;
const hashEveryMs = 1_000;
/** The share of the time that hashing a large model may take. */
const hashPart = 0.01;
const weightsEveryMs = 1_000;

export class WeightsFeed {
  /** First digits of the last hash; undefined before the first. */
  hash: string | undefined;
  /** Number of steps taken by the hashed weights. */
  hashStep = -1;
  readonly #parameterServer: ParameterServer;
  readonly #nowMs: () => number;
  #hashDueAtMs = Number.NEGATIVE_INFINITY;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(parameterServer: ParameterServer, nowMs: () => number) {
    this.#parameterServer = parameterServer;
    this.#nowMs = nowMs;
  }

  /** Hashes the weights after `step` steps, if a new hash is due. */
  refreshHash(step: number): void {
    const startedAtMs = this.#nowMs();
    if (step === this.hashStep || startedAtMs < this.#hashDueAtMs) return;
    const { backend, parameters } = this.#parameterServer;
    this.hash = sha256(bytesOf(backend.view(parameters))).slice(0, hashDigits);
    this.hashStep = step;
    const endedAtMs = this.#nowMs();
    this.#hashDueAtMs = endedAtMs + Math.max(hashEveryMs, (endedAtMs - startedAtMs) / hashPart);
  }

  /** Sends one copy of the weights to all viewers that requested it, at most once a second. */
  serve(viewers: Iterable<Viewer>, step: number): void {
    const nowMs = this.#nowMs();
    const waiting = [...viewers].filter(({ wantsWeights, keepsUp }) => wantsWeights && keepsUp);
    if (waiting.length === 0 || nowMs - this.#sentAtMs < weightsEveryMs) return;
    this.#sentAtMs = nowMs;
    const frame = encodeWatch({ type: 'weights', step, bytes: bytesOf(this.#parameterServer.weights()) });
    for (const viewer of waiting) {
      viewer.wantsWeights = false;
      viewer.sendFrame(frame);
    }
  }
}

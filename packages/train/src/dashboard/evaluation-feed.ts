/** Shows viewers how the newest evaluated model reads the test set; computes that only while there are viewers. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sampleSize } from '@lockstep/data';
import { createConfusionEvaluator, createValueErrors, restoreValues } from '@lockstep/nn';
import { bytesOf, type WatchMessageOf } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import type { Prepared } from '../prepared.ts';
import type { Viewers } from './viewers.ts';

export interface EvaluationFeedOptions {
  readonly backend: HostBackend;
  readonly prepared: Pick<Prepared, 'model' | 'test'>;
  readonly onError: (error: unknown) => void;
}

const mostErrors = 16;
/** Most bytes of the samples of a message. */
const mostSampleBytes = 2 ** 20;
/** Most classes whose matrix a page shows. */
const maxShownClasses = 256;
/** More are kept only while they are evaluated: viewers who come later see the next evaluation. */
const mostKeptParameters = 2 ** 22;

type Errors = Pick<WatchMessageOf<'evaluation'>, 'confusion' | 'topErrors' | 'farthest'>;
interface Evaluated {
  readonly epoch: number;
  readonly weights: Float32Array;
  /** Whether no other evaluation follows: the run's end has its weights as well. */
  readonly isLast: boolean;
}

type ErrorFinder = (weights: Float32Array) => Promise<Errors>;

export class EvaluationFeed {
  /** The last evaluation; undefined before the first. */
  message: WatchMessageOf<'evaluation'> | undefined;
  readonly #options: EvaluationFeedOptions;
  readonly #viewers: Pick<Viewers, 'size' | 'broadcast'>;
  /** Created at the first evaluation, so that a run without viewers pays nothing. */
  #findErrors: ErrorFinder | undefined;
  #newest: Evaluated | undefined;
  #isEvaluating = false;

  constructor(options: EvaluationFeedOptions, viewers: Pick<Viewers, 'size' | 'broadcast'>) {
    this.#options = options;
    this.#viewers = viewers;
  }

  /** Takes the weights at the end of an epoch, which it may keep. */
  add(evaluated: Evaluated): void {
    this.#newest = evaluated;
    this.refresh();
    this.#forgetLarge();
  }

  /** Evaluates the newest weights, if that has not been done and there are viewers; one evaluation at a time. */
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

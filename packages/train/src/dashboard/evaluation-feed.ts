/** Shows viewers how the newest evaluated model reads the test set; computes that only while there are viewers. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createConfusionEvaluator } from '@lockstep/nn';
import { bytesOf, type WatchMessageOf } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import type { Prepared } from '../prepared.ts';
import type { Viewers } from './viewers.ts';

export interface EvaluationFeedOptions {
  readonly backend: HostBackend;
  readonly prepared: Pick<Prepared, 'model' | 'test'>;
  readonly onError: (error: unknown) => void;
}

const topErrorCount = 16;

export class EvaluationFeed {
  /** The last evaluation; undefined before the first. */
  message: WatchMessageOf<'evaluation'> | undefined;
  readonly #options: EvaluationFeedOptions;
  readonly #viewers: Viewers;
  /** Created at the first evaluation, so that a run without viewers pays nothing. */
  #evaluator: ReturnType<typeof createConfusionEvaluator> | undefined;
  #newest: { readonly epoch: number; readonly weights: Float32Array } | undefined;
  #isEvaluating = false;

  constructor(options: EvaluationFeedOptions, viewers: Viewers) {
    this.#options = options;
    this.#viewers = viewers;
  }

  /** @param weights at the end of the epoch; kept */
  add(epoch: number, weights: Float32Array): void {
    this.#newest = { epoch, weights };
    this.refresh();
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
      });
  }

  async #evaluate(epoch: number, weights: Float32Array): Promise<void> {
    const { model, test } = this.#options.prepared;
    const { rows, columns, classes, images } = test;
    this.#evaluator ??= createConfusionEvaluator(this.#options.backend, model, test, topErrorCount);
    const { counts, topErrors } = await this.#evaluator.evaluate(weights, () => nextTurn());
    const imageOf = (index: number) => images.subarray(index * rows * columns, (index + 1) * rows * columns);
    this.message = {
      type: 'evaluation',
      epoch,
      rows,
      columns,
      classes,
      confusion: bytesOf(counts),
      topErrors: topErrors.map(({ index, ...error }) => ({ ...error, image: imageOf(index) })),
    };
    this.#viewers.broadcast(this.message);
  }
}

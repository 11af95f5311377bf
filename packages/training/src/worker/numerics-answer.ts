/** Answers numerics checks: computes the gradient of each, and makes the messages that bring it. */
import type { SampleBatch } from '@lockstep/data';
import type { MessageOf } from '@lockstep/protocol';
import { checkedSetup } from '../numerics-check.ts';
import { vectorMessages } from '../vector-chunks.ts';
import type { ComputeSetup } from './compute.ts';
import type { SessionOptions } from './session-options.ts';

type Check = Pick<SampleBatch, 'samples' | 'targets'> & { readonly weights: Uint8Array };

/** Answers the checks of one run: the first when the worker joins, another one after each task that it failed at. */
export class NumericsAnswerer {
  readonly #options: Pick<SessionOptions, 'compute' | 'hash'>;
  readonly #setup: ComputeSetup;
  readonly #chunkBytes: number;
  #isOpenForCheck = false;

  constructor(options: Pick<SessionOptions, 'compute' | 'hash'>, setup: ComputeSetup, chunkBytes: number) {
    this.#options = options;
    this.#setup = setup;
    this.#chunkBytes = chunkBytes;
  }

  /** Opens the compute as a check needs it, where it is not open so. */
  async open(): Promise<void> {
    if (this.#isOpenForCheck) return;
    await this.#options.compute.open(checkedSetup(this.#setup));
    this.#isOpenForCheck = true;
  }

  /** @returns the messages of the answer; the compute is then open for the tasks of the run */
  async answer(
    { weights, samples, targets }: Check,
    isCanceled: () => boolean,
  ): Promise<Iterable<MessageOf<'numericsResult' | 'chunk'>>> {
    const { compute, hash } = this.#options;
    await this.open();
    compute.setWeights(weights);
    // The first run warms up what compiles on first use; the second is timed.
    await compute.gradient(samples, targets, { isCanceled });
    const { gradient, lossSum, correct, computeMs } = await compute.gradient(samples, targets, { isCanceled });
    await this.#openForRun();
    const result = { type: 'numericsResult', hash: hash(gradient), lossSum, correct, computeMs } as const;
    return vectorMessages(gradient, this.#chunkBytes, (first, fields) => ({ ...result, ...fields, gradient: first }));
  }

  /** A check of a run with inner steps is computed without them. */
  async #openForRun(): Promise<void> {
    if (!this.#setup.innerSteps) return;
    await this.#options.compute.open(this.#setup);
    this.#isOpenForCheck = false;
  }
}

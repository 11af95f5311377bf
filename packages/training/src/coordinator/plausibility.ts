/** Which results are so large that one wrong one would ruin the weights before any sample of results finds it. */

/** How large the sums of a shard are, per sample, so that shards of any size compare. */
export interface SumSize {
  /** The largest absolute value of the gradient. */
  readonly gradient: number;
  readonly loss: number;
}

/** A result may be so many times as large as the largest that was found to be right. */
const factor = 8;
/** Gradients shrink while a run learns: what was right long ago says little. */
const decayPerStep = 0.99;

/** Learns only from results that a second computation has confirmed, so that a liar cannot raise the bound. */
export class Plausibility {
  #bound: SumSize = { gradient: 0, loss: 0 };

  /** False for every result until one is confirmed. */
  isPlausible({ gradient, loss }: SumSize): boolean {
    return gradient <= factor * this.#bound.gradient && Math.abs(loss) <= factor * this.#bound.loss;
  }

  confirm({ gradient, loss }: SumSize): void {
    const bound = this.#bound;
    this.#bound = { gradient: Math.max(bound.gradient, gradient), loss: Math.max(bound.loss, Math.abs(loss)) };
  }

  /** To be called after each step. */
  age(): void {
    this.#bound = { gradient: decayPerStep * this.#bound.gradient, loss: decayPerStep * this.#bound.loss };
  }
}

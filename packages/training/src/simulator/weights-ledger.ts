/** Compares the weights that the lives of a run's coordinators have after each step: all compute the same bytes. */

export class WeightsLedger {
  readonly #weights = new Map<number, Float32Array>();
  /** The first step after which two had other weights, in words. */
  fault: string | undefined;

  note(step: number, weights: Float32Array): void {
    const before = this.#weights.get(step);
    if (!before) this.#weights.set(step, weights);
    else if (!weights.every((value, index) => Object.is(value, before[index]))) {
      this.fault ??= `step ${step + 1} gave other weights than when another life of a coordinator took it`;
    }
  }
}

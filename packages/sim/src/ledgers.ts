/** Ledgers of a simulated run: how often each sample was counted, and whether all copies of the weights agree. */
import type { ParameterServer, ShardSource } from '@lockstep/compute';
import type { Shard } from '@lockstep/rules';
import { type RunPlan, samplesInShard, stepBatch } from '@lockstep/rules';

/** Counts the samples added to a parameter server's steps, independently of the rules: each sample once per epoch. */
export class SampleLedger {
  readonly #plan: RunPlan;
  readonly #source: ShardSource;
  /** For each sample of the training set, how often this epoch's steps so far have counted it. */
  #counts: Uint8Array;
  #added: Shard[] = [];
  /** Describes the first sample that was not counted exactly once. */
  fault: string | undefined;

  /** @param counts from an earlier ledger, if the run continues from a checkpoint */
  constructor(plan: RunPlan, source: ShardSource, counts?: Uint8Array) {
    this.#plan = plan;
    this.#source = source;
    this.#counts = counts?.slice() ?? new Uint8Array(plan.samples);
  }

  /** Intercepts the calls of the server's aggregator, and each step. */
  watch(server: ParameterServer): void {
    const { aggregator } = server;
    const [begin, add] = [aggregator.begin.bind(aggregator), aggregator.add.bind(aggregator)];
    const step = server.step.bind(server);
    aggregator.begin = (...next) => {
      this.#added = [];
      begin(...next);
    };
    aggregator.add = (shard, values) => {
      this.#added.push(shard);
      add(shard, values);
    };
    server.step = (number) => {
      this.#count(number);
      return step(number);
    };
  }

  counts(): Uint8Array {
    return this.#counts.slice();
  }

  #count(step: number): void {
    const { samples, stepsPerEpoch } = this.#plan;
    const { epoch, count } = stepBatch(this.#plan, step);
    if (step % stepsPerEpoch === 0) this.#counts = new Uint8Array(samples);
    let added = 0;
    for (const { lo, n } of this.#added) {
      added += samplesInShard(this.#plan, step, lo, n);
      for (const sample of this.#source.numbers(step, lo, n)) {
        this.#counts[sample]! += 1;
        if (this.#counts[sample]! > 1) this.#report(`sample ${sample} counts twice in epoch ${epoch + 1}`);
      }
    }
    if (added !== count) this.#report(`step ${step + 1}: expected ${count} samples, got ${added}`);
    if (step % stepsPerEpoch < stepsPerEpoch - 1) return;
    const missing = this.#counts.indexOf(0);
    if (missing >= 0) this.#report(`sample ${missing} does not count in epoch ${epoch + 1}`);
  }

  #report(fault: string): void {
    this.fault ??= fault;
  }
}

/** Compares the weights after each step across all lives of a run's coordinators: all must compute the same bytes. */
export class WeightsLedger {
  readonly #weights = new Map<number, Float32Array>();
  /** Describes the first step after which two lives had different weights. */
  fault: string | undefined;

  note(step: number, weights: Float32Array): void {
    const before = this.#weights.get(step);
    if (!before) this.#weights.set(step, weights);
    else if (!weights.every((value, index) => Object.is(value, before[index]))) {
      this.fault ??= `step ${step + 1} gave other weights than when another life of a coordinator took it`;
    }
  }
}

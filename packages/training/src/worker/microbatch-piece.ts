/** A piece of whole microbatches at fixed weights: one pass over all of their samples. */
import {
  createMicrobatchGradient,
  createShardGradient,
  type LabeledPlan,
  type Model,
  type TargetType,
} from '@lockstep/nn';
import type { Backend, Program, Storage } from '@lockstep/tensor';
import { loadSamples, type PieceCompute, type SampleRange, type ShardBatch } from './piece.ts';

interface MicrobatchPieceOptions {
  readonly backend: Backend;
  readonly model: Model;
  readonly microbatchSize: number;
  readonly targetType: TargetType;
  /** [parameters] */
  readonly parameters: Storage;
}

export class MicrobatchPiece implements PieceCompute {
  readonly #options: MicrobatchPieceOptions;
  /** By number of samples: some whole microbatches, or the short last one of a batch. */
  readonly #plans = new Map<number, LabeledPlan>();

  constructor(options: MicrobatchPieceOptions) {
    this.#options = options;
  }

  partsOf(piece: SampleRange): readonly SampleRange[] {
    return [piece];
  }

  programsOf(batch: ShardBatch, _piece: SampleRange, part: SampleRange, vector: Storage): Program[] {
    const plan = this.#planFor(part.to - part.from, vector);
    return [...loadSamples(plan, batch, part), plan.into(vector)];
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
  }

  /** @param output stands for an output of the plan's own */
  #planFor(samples: number, output: Storage): LabeledPlan {
    const known = this.#plans.get(samples);
    if (known) return known;
    const { backend, model, microbatchSize, targetType, parameters } = this.#options;
    const microbatches = samples / microbatchSize;
    const options = { targetType, output };
    const plan =
      microbatches > 1
        ? createShardGradient(backend, model, { microbatches, microbatchSize }, parameters, options)
        : createMicrobatchGradient(backend, model, samples, parameters, options);
    this.#plans.set(samples, plan);
    return plan;
  }
}

/** The numbers of a run: parameters, the sum of the step's gradients, and the optimizer's step. */
import { createOptimizer, type OptimizerConfig, type OptimizerState } from '@lockstep/nn';
import { packChanges, unpackVector, type VectorEncoding } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import { type RunPlan, stepBatch, usedMicrobatches } from './plan.ts';
import type { Shard } from './tree.ts';
import { TreeSum } from './tree-sum.ts';

/** What one step did, measured on its batch with the weights before the step. */
export interface StepResult {
  readonly step: number;
  readonly epoch: number;
  readonly count: number;
  /** Mean over the batch's samples. */
  readonly loss: number;
  /** Samples of the batch whose class was right. */
  readonly correct: number;
}

export interface ParameterServer {
  /** Number of parameters. */
  readonly parameters: number;
  /**
   * Writes a shard's gradient, little-endian float32 where no encoding is named, to where it can be added; false where
   * a number is not finite. It counts only once `accept` follows; otherwise the next offer replaces it.
   */
  offer(gradient: Uint8Array, lossSum: number, correct: number, encoding?: VectorEncoding): boolean;
  /** Adds the gradient that was offered last to the step's sum, as the sum over `shard`. */
  accept(shard: Shard): void;
  /** Takes the optimizer's step with the whole sum. @throws Error where shards are missing. */
  step(step: number): StepResult;
  /** A copy of the parameters. */
  weights(): Float32Array<ArrayBuffer>;
  /**
   * The parameters as little-endian bytes, in memory that the next step's overwrite: a worker that reads them so late
   * computes a shard that nobody wants any more.
   */
  weightBytes(): Uint8Array;
  /**
   * Like `weightBytes`, and what has changed since its last call or that of `weightBytes`, packed; without it where
   * nearly all has. Looking is not free, so where it did not pay it is not done again for some calls.
   */
  weightChanges(): { readonly bytes: Uint8Array; readonly changes: Uint8Array | undefined };
  optimizerState(): OptimizerState;
  dispose(): void;
}

export interface ParameterServerOptions {
  readonly backend: HostBackend;
  readonly plan: RunPlan;
  readonly weights: Float32Array;
  readonly optimizer: OptimizerConfig;
  readonly optimizerState?: OptimizerState;
  /** The first step to take. */
  readonly firstStep?: number;
}

/** With momentum or Adam every weight changes at every step. */
const callsWithoutLook = 31;

export function createParameterServer(options: ParameterServerOptions): ParameterServer {
  const { backend, plan } = options;
  const size = options.weights.length;
  const parameters = backend.allocate(size);
  backend.upload(parameters, options.weights);
  // Loss and correct answers are summed in the same tree, behind the gradient.
  const total = backend.allocate(size + 2);
  const sum = new TreeSum(backend, total);
  const optimizer = createOptimizer(backend, options.optimizer, parameters, backend.slice(total, 0, size));
  if (options.optimizerState) optimizer.restore(options.optimizerState);

  // Not a view of the backend's memory: that may move when it grows.
  const sentWeights = new Float32Array(size);

  let callsToSkip = 0;

  const changesOf = (weights: Float32Array): Uint8Array | undefined => {
    if (callsToSkip > 0) {
      callsToSkip -= 1;
      return undefined;
    }
    const changes = packChanges(weights, sentWeights);
    if (changes === undefined) callsToSkip = callsWithoutLook;
    return changes;
  };

  const begin = (step: number): void => {
    if (step < plan.steps) sum.begin({ lo: 0, n: plan.microbatches }, usedMicrobatches(plan, step));
  };
  begin(options.firstStep ?? 0);

  return {
    parameters: size,
    offer(gradient, lossSum, correct, encoding) {
      const slot = sum.free;
      const view = backend.view(slot);
      if (encoding === undefined) new Uint8Array(view.buffer, view.byteOffset, size * 4).set(gradient);
      else unpackVector(gradient, encoding, view.subarray(0, size));
      view[size] = lossSum;
      view[size + 1] = correct;
      return backend.allFinite(slot);
    },
    accept: (shard) => sum.add(shard, sum.free),
    step(step) {
      if (!sum.complete) throw new Error(`step ${step}: expected the gradient of every microbatch, some are missing`);
      const { epoch, count } = stepBatch(plan, step);
      const view = backend.view(total);
      const loss = view[size]! / count;
      const correct = view[size + 1]!;
      optimizer.step(count);
      begin(step + 1);
      return { step, epoch, count, loss, correct };
    },
    weights: () => backend.view(parameters).slice() as Float32Array<ArrayBuffer>,
    weightBytes() {
      sentWeights.set(backend.view(parameters));
      return new Uint8Array(sentWeights.buffer);
    },
    weightChanges() {
      const view = backend.view(parameters);
      const changes = changesOf(view);
      sentWeights.set(view);
      return { bytes: new Uint8Array(sentWeights.buffer), changes };
    },
    optimizerState: () => optimizer.state(),
    dispose() {
      optimizer.dispose();
      sum.dispose();
      backend.free(total);
      backend.free(parameters);
    },
  };
}

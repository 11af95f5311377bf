/** Computes for a relay's session above: numerics checks in this process, shards on the workers behind the relay. */
import { type Compute, ComputeError } from '@lockstep/compute';
import type { RelayRun } from './relay-run.ts';

export interface RelayComputeOptions {
  /** Computes numerics checks, and so determines the relay's numeric mode. */
  readonly local: Compute;
  /** Number of threads of the relay's workers. */
  readonly threads: () => number;
  readonly run: () => RelayRun | undefined;
  /** Opens the run of the newest welcome. */
  readonly open: () => Promise<void>;
  /** Resolves once a worker is ready. Until then numerics checks wait, so that the relay is not asked for shards. */
  readonly present: () => Promise<void>;
  /** Replaces the run below by a new one. */
  readonly renew: () => Promise<void>;
}

/** Creates a relay's `Compute`. It has no byte cache, so that it gets all samples of a shard at once. */
export function createRelayCompute({ local, threads, run, open, renew, present }: RelayComputeOptions): Compute {
  let weights: { readonly bytes: Uint8Array; readonly step: number } | undefined;
  return {
    backend: local.backend,
    numericMode: local.numericMode,
    codec: local.codec,
    get threads() {
      return threads();
    },
    async open(setup) {
      weights = undefined;
      await local.open(setup);
      await open();
    },
    takeWeightsPart: (part) => run()?.takeWeightsPart(part),
    setWeights(bytes, step) {
      if (step === undefined) local.setWeights(bytes);
      else if (run()?.setWeights(bytes, step) === false) weights = { bytes: bytes.slice(), step };
      else weights = undefined;
    },
    async gradient(samples, targets, options = {}) {
      const { shard } = options;
      if (!shard) {
        await present();
        // A later connection may have begun its own numerics check.
        if (options.isCanceled?.()) throw new ComputeError('failed', 'the numerics check was canceled');
        return local.gradient(samples, targets, options);
      }
      if (samples instanceof Uint32Array || targets instanceof Uint8Array) {
        throw new Error('shard: expected samples with targets as they travel, got others');
      }
      if (weights) {
        // The coordinator has gone back to an earlier step, but the workers below have later weights.
        await renew();
        run()?.setWeights(weights.bytes, weights.step);
        weights = undefined;
      }
      const current = run();
      if (!current || options.isCanceled?.()) throw new ComputeError('failed', 'the shard was canceled');
      return current.gradient(shard, { samples, targets }, options);
    },
    close: () => local.close(),
  };
}

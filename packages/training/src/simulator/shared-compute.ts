/** Computes the shards of all simulated workers on one set of compiled plans, since compiling costs more than computing. */
import type { TargetValues } from '@lockstep/nn';
import type { Backend } from '@lockstep/tensor';
import type { Compute, ComputeSetup, GradientOptions, ShardGradient, ShardSamples } from '../worker/compute.ts';
import { createLocalCompute } from '../worker/local-compute.ts';

type Gradient = (
  weights: Uint8Array,
  samples: ShardSamples,
  targets: TargetValues,
  options?: GradientOptions,
) => Promise<ShardGradient>;

const opened = new WeakMap<Backend, Map<string, Promise<Compute>>>();

/** The gradient of a model's shards by any weights; plans are kept for as long as the backend is. */
export async function openGradient(backend: Backend, setup: ComputeSetup): Promise<Gradient> {
  const computes = opened.get(backend) ?? new Map<string, Promise<Compute>>();
  opened.set(backend, computes);
  const key = JSON.stringify(setup);
  const opening = computes.get(key) ?? openCompute(backend, setup);
  computes.set(key, opening);
  const compute = await opening;
  return (weights, samples, targets, options) => {
    // A host backend reads the result before it returns, so that shards of several workers cannot mix.
    compute.setWeights(weights);
    return compute.gradient(samples, targets, { ...options, inPlace: false });
  };
}

async function openCompute(backend: Backend, setup: ComputeSetup): Promise<Compute> {
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open(setup);
  return compute;
}

/** A compute of those plans, for numerics checks of many relays. */
export function createSharedCompute(backend: Backend): Compute {
  let gradientOf: Gradient | undefined;
  let weights = new Uint8Array();
  return {
    backend: backend.name,
    numericMode: backend.numericMode,
    threads: 1,
    async open(setup) {
      gradientOf = await openGradient(backend, setup);
    },
    setWeights(bytes) {
      weights = bytes.slice();
    },
    async gradient(...shard) {
      if (!gradientOf) throw new Error('compute: expected open() before a shard');
      return gradientOf(weights, ...shard);
    },
    close: async () => {},
  };
}

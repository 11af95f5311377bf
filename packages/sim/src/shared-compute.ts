/** Computes the shards of all simulated workers with one set of compiled plans: compiling costs more than computing. */

import {
  type Compute,
  type ComputeSetup,
  createLocalCompute,
  type GradientOptions,
  type ShardGradient,
  type ShardSamples,
} from '@lockstep/compute';
import type { TargetValues } from '@lockstep/data';
import { floatsFrom } from '@lockstep/protocol';
import type { Backend } from '@lockstep/tensor';

/** How each numeric mode changes the weights before it computes with them, at full precision from then on. */
export const numericModes = {
  exact: (weights) => weights,
  /** Imitates a device that rounds on load: every third weight moves one unit in the last place away from zero. */
  nudged: (weights) => {
    const bytes = new Uint8Array(floatsFrom(weights).buffer);
    const words = new Uint32Array(bytes.buffer);
    for (let index = 0; index < words.length; index += 3) words[index] = words[index]! + 1;
    return bytes;
  },
} satisfies Record<string, (weights: Uint8Array) => Uint8Array>;

export type NumericMode = keyof typeof numericModes;

type Gradient = (
  weights: Uint8Array,
  samples: ShardSamples,
  targets: TargetValues,
  options?: GradientOptions,
) => Promise<ShardGradient>;

const opened = new WeakMap<Backend, Map<string, Promise<Gradient>>>();

/** Opens the gradient of a model's shards for any weights; the plans are kept as long as the backend. */
export async function openGradient(backend: Backend, setup: ComputeSetup): Promise<Gradient> {
  const gradients = opened.get(backend) ?? new Map<string, Promise<Gradient>>();
  opened.set(backend, gradients);
  const key = JSON.stringify(setup);
  const opening = gradients.get(key) ?? openOne(backend, setup);
  gradients.set(key, opening);
  return opening;
}

async function openOne(backend: Backend, setup: ComputeSetup): Promise<Gradient> {
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open(setup);
  let last: Promise<unknown> = Promise.resolve();
  return (weights, samples, targets, options) => {
    const own = weights.slice();
    // Run one at a time: the next shard overwrites the memory of the previous result.
    const result = last.then(() => {
      compute.setWeights(own);
      return compute.gradient(samples, targets, { ...options, inPlace: false });
    });
    last = result.catch(() => {});
    return result;
  };
}

/** Creates a compute that shares these plans, for the numerics checks of many relays. */
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

/** From a shard to its sum, and from a sum to the next weights. */

export { Aggregator, type SumMemory } from './aggregator.ts';
export {
  type ByteCache,
  type Compute,
  ComputeError,
  type ComputeSetup,
  countOf,
  type GradientOptions,
  type NamedShard,
  type ShardGradient,
  type ShardSamples,
  type WeightsMessage,
} from './compute.ts';
export { roundToHalves } from './half-rounding.ts';
export {
  createReferee,
  createShardSource,
  type InlineCompute,
  InlineCopy,
  InlineGradient,
  type InlineResult,
  type InlineSum,
  type OwnSum,
  type ShardSource,
} from './inline-compute.ts';
export { createLocalCompute } from './local-compute.ts';
export {
  checkedSetup,
  createNumericsCheck,
  hashWith,
  type IncrementalHash,
  type NewHash,
  type NumericsCheck,
  NumericsComparison,
  type ReferenceGradient,
  referenceOf,
} from './numerics-check.ts';
export { ParameterServer, Parameters, type StepResult } from './parameter-server.ts';
export { TreeSum } from './tree-sum.ts';
export { createPause, createYield } from './turns.ts';
export { checksumBy, lanesIn } from './vector-memory.ts';

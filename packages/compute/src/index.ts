/** From a shard to its sum, and from a sum to the next weights. */

export { Aggregator, type SumMemory } from './aggregator.ts';
export {
  type ByteCache,
  type Compute,
  ComputeError,
  type ComputeSetup,
  type GradientOptions,
  type NamedShard,
  type ShardGradient,
  type ShardSamples,
  type WeightsPart,
} from './compute.ts';
export { roundToHalves } from './half-rounding.ts';
export { hashWith, type IncrementalHash, type NewHash } from './incremental-hash.ts';
export { type InlineCompute, InlineCopy, InlineGradient, type InlineResult, type InlineSum } from './inline-compute.ts';
export { createLocalCompute } from './local-compute.ts';
export {
  checkedSetup,
  createNumericsCheck,
  type NumericsCheck,
  NumericsComparison,
  type ReferenceGradient,
  referenceOf,
} from './numerics-check.ts';
export { ParameterServer, type StepResult } from './parameter-server.ts';
export { Parameters } from './parameters.ts';
export { createReferee, type OwnSum } from './referee.ts';
export { createShardSource, type ShardSource } from './shard-source.ts';
export { TreeSum } from './tree-sum.ts';
export { createPause, createYield } from './turns.ts';
export { checksumBy } from './vector-memory.ts';

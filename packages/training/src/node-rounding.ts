/** How the values of the reduction tree's nodes are rounded: each then travels in fewer bytes, and none is lost on the way. */
import { defaultKey, type RandomKey } from '@lockstep/nn';
import { roundToHalves } from './half-rounding.ts';
import { boundLevels, roundToLevels } from './level-rounding.ts';
import { unitsOf } from './level-units.ts';
import type { RunPlan } from './plan.ts';
import { nextPowerOfTwo } from './tree.ts';

/**
 * What a node of the tree is in a step: the rounded sum over a microbatch, or the rounded sum of its halves. It depends on
 * the samples of the node and on what the step before left, and so a run has the same bits wherever its shards end.
 */
export type NodeRounding =
  /** A power of two: what 1 in half precision stands for. */
  | { readonly type: 'fp16'; readonly unit: number }
  /**
   * [parameters], powers of two: what one of 127 levels stands for; and their exponents, one for each block of values, as
   * workers are told them.
   */
  | { readonly type: 'int8'; readonly units: Float32Array; readonly exponents: Int8Array };

/** Levels in units with these exponents. */
export function levelRounding(exponents: Int8Array, parameterCount: number): NodeRounding {
  return { type: 'int8', units: unitsOf(exponents, parameterCount), exponents };
}

/** Means over a step from 2^-34 to 64 are halves in this unit, whatever its batch. */
const unitsPerSample = 2 ** 10;

/** Of a run's first step, where its plan has one. Those after it may have units that the step before has left. */
export function firstRounding({ rounding, batch, microbatches, innerSteps }: RunPlan) {
  if (rounding === undefined) return undefined;
  const unit = nextPowerOfTwo(innerSteps ? microbatches : batch) / unitsPerSample;
  return { type: 'fp16', unit } as const satisfies NodeRounding;
}

/** Rounds the gradient of a microbatch in place, in plain loops. @param key with the position of its first sample */
export function roundMicrobatch(gradient: Float32Array, rounding: NodeRounding, key: RandomKey = defaultKey): void {
  if (rounding.type === 'fp16') roundToHalves(gradient, rounding.unit);
  else roundToLevels(gradient, rounding.units, key);
}

/** Rounds the sum of two nodes in place, in plain loops. */
export function roundSum(gradient: Float32Array, rounding: NodeRounding): void {
  if (rounding.type === 'fp16') roundToHalves(gradient, rounding.unit);
  else boundLevels(gradient, rounding.units);
}

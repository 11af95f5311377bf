/** How the values of the reduction tree's nodes are rounded: each then travels in fewer bytes, and none is lost on the way. */

import type { MessageOf } from '@lockstep/protocol';
import {
  additionCall,
  type Backend,
  type MapCall,
  type Program,
  prepareElementwise,
  type Storage,
  sliceSum,
  type VectorSum,
} from '@lockstep/tensor';
import { halfFormula, roundToHalves } from './half-rounding.ts';
import type { RunPlan } from './plan.ts';
import { nextPowerOfTwo } from './tree.ts';

/**
 * What a node of the tree is: the rounded sum over a microbatch, or the rounded sum of its halves. It depends on the
 * samples of the node alone, and so a run has the same bits wherever its shards end.
 */
export interface NodeRounding {
  readonly type: 'fp16';
  /** A power of two: what 1 in half precision stands for. */
  readonly unit: number;
}

/** Means over a step from 2^-34 to 64 are halves in this unit, whatever its batch. */
const unitsPerSample = 2 ** 10;

/** Of the run, where its plan has one. */
export function nodeRounding({ rounding, batch, microbatches, innerSteps }: RunPlan): NodeRounding | undefined {
  if (rounding === undefined) return undefined;
  return { type: 'fp16', unit: nextPowerOfTwo(innerSteps ? microbatches : batch) / unitsPerSample };
}

/** Of the run that a worker was welcomed to. */
export function welcomedRounding({
  gradients,
  gradientUnit,
}: Pick<MessageOf<'welcome'>, 'gradients' | 'gradientUnit'>): NodeRounding | undefined {
  if (gradients !== 'fp16-exact') return undefined;
  if (gradientUnit === undefined) throw new Error('welcome: expected a gradientUnit with fp16-exact, got none');
  return { type: 'fp16', unit: gradientUnit };
}

/** Values behind the gradient in a vector [parameters + 2], which are not rounded: sum of losses, correct answers. */
const figures = 2;

/**
 * The calls that leave a sum of nodes in `output`, [parameters + 2] as its vectors; of one vector, those that round the sum
 * over a microbatch. `output` may be one of the vectors.
 */
export function nodeCalls(backend: Backend, sum: VectorSum, output: Storage, { unit }: NodeRounding): MapCall[] {
  const size = output.length - figures;
  const round = (value: Parameters<typeof halfFormula>[0]) => halfFormula(value, unit);
  const gradient = additionCall(sliceSum(backend, sum, 0, size), backend.slice(output, 0, size), round);
  if (!('left' in sum)) return [{ ...gradient, formula: round(gradient.formula) }];
  return [gradient, additionCall(sliceSum(backend, sum, size, figures), backend.slice(output, size, figures))];
}

/** `output = sum`, prepared for all threads together; rounded at each addition where the run asks for it. */
export function prepareSum(backend: Backend, sum: VectorSum, output: Storage, rounding?: NodeRounding): Program {
  if (!rounding) return prepareElementwise(backend, [additionCall(sum, output)]);
  const programs = nodeCalls(backend, sum, output, rounding).map((call) => prepareElementwise(backend, [call]));
  return {
    run() {
      for (const program of programs) program.run();
    },
    dispose() {
      for (const program of programs) program.dispose();
    },
  };
}

/** Rounds the gradient of a node in place, in plain loops. */
export function roundNode(gradient: Float32Array, { unit }: NodeRounding): void {
  roundToHalves(gradient, unit);
}

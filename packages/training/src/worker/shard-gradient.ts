/** The gradient of a shard in the rounding of the run, also from a compute that does not round. */
import { defaultKey, type TargetValues } from '@lockstep/nn';
import { floatsOf } from '@lockstep/protocol';
import { roundMicrobatch, roundSum } from '../node-rounding.ts';
import { nextPowerOfTwo } from '../tree.ts';
import { TreeReduction } from '../tree-reduction.ts';
import type { Compute, GradientOptions, ShardGradient, ShardSamples } from './compute.ts';

export interface LabeledSamples {
  readonly samples: ShardSamples;
  readonly targets: TargetValues;
  readonly count: number;
}

/**
 * A compute that does not round is asked for one microbatch after another, which are rounded and added here: a GPU keeps
 * no promise of how it rounds.
 * @throws Error where the shard is canceled meanwhile
 */
export async function shardGradient(
  compute: Compute,
  shard: LabeledSamples,
  microbatchSize: number,
  options: GradientOptions,
): Promise<ShardGradient> {
  const { samples, targets, count } = shard;
  const { rounding, key = defaultKey, isCanceled } = options;
  if (!rounding || compute.roundsNodes) return compute.gradient(samples, targets, options);
  const usedMicrobatches = Math.ceil(count / microbatchSize);
  const root = { lo: 0, n: nextPowerOfTwo(usedMicrobatches) };
  const combine = (left: Node, right: Node): Node => addNodes(left, right, (sum) => roundSum(sum, rounding));
  const reduction = new TreeReduction<Node>({ root, usedMicrobatches, combine });
  let [sum, computeMs]: [Node | undefined, number] = [undefined, 0];
  for (let index = 0; index < usedMicrobatches; index++) {
    if (isCanceled?.()) throw new Error('compute: the shard was canceled');
    const from = index * microbatchSize;
    const to = Math.min(count, from + microbatchSize);
    const own = rowsOf(shard, from, to);
    const ownKey = { ...key, firstSample: key.firstSample + from };
    const canceling = isCanceled && { isCanceled };
    const result = await compute.gradient(own.samples, own.targets, { key: ownKey, ...canceling });
    const gradient = floatsOf(result.gradient).slice();
    roundMicrobatch(gradient, rounding, ownKey);
    sum = reduction.add({ lo: index, n: 1 }, { gradient, lossSum: result.lossSum, correct: result.correct });
    computeMs += result.computeMs;
  }
  if (!sum) throw new Error('compute: expected a shard with samples, got one with none');
  const { gradient, ...sums } = sum;
  return { gradient: new Uint8Array(gradient.buffer), ...sums, count, computeMs };
}

interface Node {
  readonly gradient: Float32Array<ArrayBuffer>;
  readonly lossSum: number;
  readonly correct: number;
}

function addNodes(left: Node, right: Node, round: (sum: Float32Array) => void): Node {
  const { gradient } = left;
  for (let at = 0; at < gradient.length; at++) gradient[at]! += right.gradient[at]!;
  round(gradient);
  const lossSum = Math.fround(left.lossSum + right.lossSum);
  return { gradient, lossSum, correct: left.correct + right.correct };
}

/** The samples `[from, to)` of a shard, and their targets. */
function rowsOf({ samples, targets, count }: LabeledSamples, from: number, to: number) {
  const part = <Values extends ShardSamples | TargetValues>(values: Values): Values => {
    const width = values.length / count;
    return values.subarray(from * width, to * width) as Values;
  };
  return { samples: part(samples), targets: part(targets) };
}

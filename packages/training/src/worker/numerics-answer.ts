/** Answers the numerics check: computes its gradient, by which the coordinator judges how a worker computes. */
import type { MessageOf } from '@lockstep/protocol';
import type { Compute } from './compute.ts';

/**
 * @param hash of the gradient, in hex
 * @param isCanceled see `GradientOptions`
 */
export async function answerNumericsCheck(
  compute: Compute,
  { weights, pixels, labels }: MessageOf<'numericsCheck'>,
  hash: (bytes: Uint8Array) => string,
  isCanceled: () => boolean,
): Promise<MessageOf<'numericsResult'>> {
  compute.setWeights(weights);
  // The first run warms up what compiles on first use; the second is timed.
  await compute.gradient(pixels, labels, { isCanceled });
  const { gradient, lossSum, correct, computeMs } = await compute.gradient(pixels, labels, { isCanceled });
  return { type: 'numericsResult', gradient, hash: hash(gradient), lossSum, correct, computeMs };
}

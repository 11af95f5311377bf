/** What the scores of one sample say: its class, and probabilities. */

/** Index of the largest score, the first of equals. NaN is never larger. */
export function argmax(scores: Float32Array): number {
  let best = 0;
  for (let index = 1; index < scores.length; index++) if (scores[index]! > scores[best]!) best = index;
  return best;
}

/** The softmax at the class of the largest score; only for display, because engines may round `Math.exp` differently. */
export function largestProbability(scores: Float32Array, best: number): number {
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - scores[best]!);
  return sum > 0 ? Math.min(1, 1 / sum) : 0;
}

/** The softmax of `scores` [classes]; for display, as above. */
export function probabilitiesOf(scores: Float32Array): number[] {
  const best = argmax(scores);
  const largest = largestProbability(scores, best);
  return Array.from(scores, (score) => Math.exp(score - scores[best]!) * largest);
}

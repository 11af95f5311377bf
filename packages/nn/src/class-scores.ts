/** Predicted class and probabilities from the scores of one sample. */

/** Returns the index of the largest score, the first if several are equal. NaN is never larger. */
export function argmax(scores: Float32Array): number {
  let best = 0;
  for (let index = 1; index < scores.length; index++) if (scores[index]! > scores[best]!) best = index;
  return best;
}

/** Softmax of the largest score, at `best`; only for display, because engines may round `Math.exp` differently. */
export function largestProbability(scores: Float32Array, best: number): number {
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - scores[best]!);
  return sum > 0 ? Math.min(1, 1 / sum) : 0;
}

/** Softmax of `scores` [classes]; only for display, like `largestProbability`. */
export function probabilitiesOf(scores: Float32Array): number[] {
  const best = argmax(scores);
  const largest = largestProbability(scores, best);
  return Array.from(scores, (score) => Math.exp(score - scores[best]!) * largest);
}

/** Class scores as probabilities. */

/**
 * Softmax of `scores / temperature`: a low temperature sharpens, a high one flattens.
 * @param temperature above 0
 */
export function probabilities(scores: ArrayLike<number>, temperature: number): number[] {
  const scaled = Array.from(scores, (score) => score / temperature);
  const highest = Math.max(...scaled);
  const weights = scaled.map((score) => Math.exp(score - highest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

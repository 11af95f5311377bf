/** Turns logits into probabilities. */

/**
 * Softmax of `logits / temperature`: a low temperature sharpens the distribution, a high one flattens it.
 * @param temperature above 0
 */
export function softmax(logits: ArrayLike<number>, temperature: number): number[] {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const highest = Math.max(...scaled);
  const exponentials = scaled.map((value) => Math.exp(value - highest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

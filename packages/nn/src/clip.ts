/** Gradient clipping by the norm over all parameters. */

/** Added to the norm, as in PyTorch, so that the factor stays finite if the gradient is zero. */
const epsilon = 1e-6;

/**
 * Returns the factor that scales the mean gradient to a norm of at most `clipNorm`: `min(1, clipNorm / (norm + 1e-6))`,
 * as in `torch.nn.utils.clip_grad_norm_`. `gradientSum` [P] is the sum over `samples` samples.
 */
export function clipFactor(gradientSum: Float32Array, samples: number, clipNorm: number): number {
  const norm = Math.sqrt(sumOfSquares(gradientSum)) / samples;
  return Math.min(1, clipNorm / (norm + epsilon));
}

/**
 * Sums in float64 over four chains, element i in chain i mod 4, added as (0 + 2) + (1 + 3). The order is fixed, so
 * every engine gives the same bits. In a single chain each addition would wait for the previous one.
 */
export function sumOfSquares(values: Float32Array): number {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let index = 0; index < whole; index += 4) {
    first += values[index]! * values[index]!;
    second += values[index + 1]! * values[index + 1]!;
    third += values[index + 2]! * values[index + 2]!;
    fourth += values[index + 3]! * values[index + 3]!;
  }
  // The remaining 0 to 3 elements go to the first three chains, in order.
  const [a = 0, b = 0, c = 0] = values.subarray(whole);
  return first + a * a + (third + c * c) + (second + b * b + fourth);
}

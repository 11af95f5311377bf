/** The normal distribution's quantile function, computed with only IEEE operations. */

// Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (1988), without the far-tail region,
// which probabilities of at least 2^-34 do not reach.
import { log64 } from './float64.ts';

const centralNumerator = [
  2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
  133.14166789178438, 3.3871328727963665,
];
const centralDenominator = [
  5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
  42.31333070160091, 1,
];
const tailNumerator = [
  0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
  5.769497221460691, 4.630337846156546, 1.4234371107496835,
];
const tailDenominator = [
  1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
  1.6763848301838038, 2.053191626637759, 1,
];

function ratio(numerator: readonly number[], denominator: readonly number[], x: number): number {
  let [above, below] = [0, 0];
  for (let index = 0; index < numerator.length; index++) {
    above = above * x + numerator[index]!;
    below = below * x + denominator[index]!;
  }
  return above / below;
}

/** Returns the value that a standard normal variable stays below with `probability`, in [2^-34, 1 - 2^-34]. */
export function normalQuantile(probability: number): number {
  const fromCenter = probability - 0.5;
  if (Math.abs(fromCenter) <= 0.425) {
    return fromCenter * ratio(centralNumerator, centralDenominator, 0.180625 - fromCenter * fromCenter);
  }
  const tail = fromCenter < 0 ? probability : 1 - probability;
  const value = ratio(tailNumerator, tailDenominator, Math.sqrt(-log64(tail)) - 1.6);
  return fromCenter < 0 ? -value : value;
}

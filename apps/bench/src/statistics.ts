/** Medians and spreads of repeated measurements, ratios of measurements in pairs, and distances of vectors. */

/** The median and the extremes of a set of measurements, in their unit. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle value, or the mean of the two middle values. @throws RangeError if there are no values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median: at least one value expected, got none');
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2;
}

/** @throws RangeError if there are no values */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * `values[i] / baseline[i]` for every round i. A slowdown of a whole round (another process, a warmer chip) affects
 * both halves of its pair and cancels out in the ratio; it does not cancel out in a ratio of two medians.
 */
export function pairedRatios(values: readonly number[], baseline: readonly number[]): number[] {
  if (values.length !== baseline.length) {
    throw new RangeError(
      `pairedRatios: as many values as baselines expected, got ${values.length} and ${baseline.length}`,
    );
  }
  return values.map((value, round) => value / baseline[round]!);
}

/** ||actual - expected|| / ||expected||, Euclidean; infinite when the lengths differ or a value is not finite. */
export function relativeDistance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    const error = actual[index]! - expected[index]!;
    difference += error * error;
    norm += expected[index]! * expected[index]!;
  }
  if (difference === 0) return 0;
  const distance = Math.sqrt(difference / norm);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
}

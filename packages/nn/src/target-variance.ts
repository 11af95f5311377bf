/** Variance of the targets: the baseline error that a useful model must beat. */

/**
 * Returns the variance `sum((value - mean)^2) / count` of each column of `values` [count, columns], averaged over the
 * columns: the mean squared error of always predicting the means.
 */
export function targetVariance(values: Float32Array, columns: number): number {
  const count = values.length / columns;
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    let mean = 0;
    for (let at = column; at < values.length; at += columns) mean += values[at]! / count;
    for (let at = column; at < values.length; at += columns) sum += (values[at]! - mean) ** 2;
  }
  return sum / values.length;
}

/** How far targets lie from their mean, which a model must beat to be of use. */

/**
 * Mean over the columns of `values` [count, columns] of the variance of each, `sum((value - mean)^2) / count`: the mean
 * squared error of always answering with the means.
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

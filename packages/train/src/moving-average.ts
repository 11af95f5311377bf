/** One step of an exponential moving average, which begins at its first value; `rate` is the newest value's weight. */
export function movingAverage(average: number | undefined, value: number, rate: number): number {
  return average === undefined ? value : average + rate * (value - average);
}

/** How fast a worker is taken to be: what it says of itself, within what can be true. */

/** One sample in ten seconds, and a million in a millisecond: no device that trains is slower or faster. */
const slowestSamplesPerMs = 1e-4;
const fastestSamplesPerMs = 1e6;

/**
 * A rate that shares and deadlines can be computed with. A worker names its own times, and one wrong number must neither
 * make a share that is not finite nor a deadline that never comes. 0 stays 0: nothing was measured.
 */
export function boundedRate(samplesPerMs: number): number {
  if (!(samplesPerMs > 0)) return 0;
  return Math.min(fastestSamplesPerMs, Math.max(slowestSamplesPerMs, samplesPerMs));
}

/** Weight of the newest measurement in a worker's rate: it forgets half of a change in about three results. */
const rateSmoothing = 0.2;

/** The rate after one more result; a time of 0 is too short for its clock and measures nothing. */
export function rateAfter(before: number, samples: number, computeMs: number): number {
  const measured = boundedRate(computeMs > 0 ? samples / computeMs : 0);
  if (measured === 0) return before;
  return before > 0 ? before + rateSmoothing * (measured - before) : measured;
}

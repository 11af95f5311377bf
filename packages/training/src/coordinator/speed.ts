/** A worker's speed, from the times that it reports and those that the coordinator measures. */
import type { Connection } from './state.ts';

/** One sample in ten seconds, and a million in a millisecond: no device is slower or faster. */
const slowestSamplesPerMs = 1e-4;
const fastestSamplesPerMs = 1e6;

/**
 * The rate within bounds that keep shares finite and deadlines reachable, since a worker reports its own times. 0 stays
 * 0: not measured.
 */
export function boundedRate(samplesPerMs: number): number {
  if (!(samplesPerMs > 0)) return 0;
  return Math.min(fastestSamplesPerMs, Math.max(slowestSamplesPerMs, samplesPerMs));
}

/** Weight of the newest measurement: half of a change is forgotten in about three results. */
const rateSmoothing = 0.2;

/** The rate after one more result; a time of 0 is too short for the worker's clock and measures nothing. */
function rateAfter(before: number, samples: number, computeMs: number): number {
  const measured = boundedRate(computeMs > 0 ? samples / computeMs : 0);
  if (measured === 0) return before;
  return before > 0 ? before + rateSmoothing * (measured - before) : measured;
}

/** A stall counts in the mean of about ten results. */
const overheadSmoothing = 0.1;

/**
 * The speed after one more result. What it took beyond the time for its samples is overhead, whatever the reason: the
 * link, a busy processor, a frozen process, or a rate that the worker only claims.
 */
export function speedAfter(
  { samplesPerMs: before, overheadMs }: Pick<Connection, 'samplesPerMs' | 'overheadMs'>,
  { samples, computeMs, totalMs }: { readonly samples: number; readonly computeMs: number; readonly totalMs: number },
): Pick<Connection, 'samplesPerMs' | 'overheadMs'> {
  const samplesPerMs = rateAfter(before, samples, computeMs);
  const measuredMs = samplesPerMs > 0 ? Math.max(0, totalMs - samples / samplesPerMs) : totalMs;
  return { samplesPerMs, overheadMs: overheadMs + overheadSmoothing * (measuredMs - overheadMs) };
}

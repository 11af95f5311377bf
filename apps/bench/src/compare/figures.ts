/** Figures from the reports of runs: steady rates, time to an accuracy, distances of curves, parts of a step. */
import type { CurvePoint, Report, StepTimes } from '@lockstep/train';
import { median, pairedRatios, type Spread, spread } from '../statistics.ts';

/** Fraction of a run's steps that counts as warm-up: engines keep compiling hot code for a long time. */
export const startUpPart = 2 / 3;
/**
 * Intervals of the remaining steps: an evaluation at an epoch's end spoils one or two of them, but not their median.
 */
const intervals = 8;

/** Milliseconds per step once the run is warm: the median interval of its last third. */
export function steadyMsPerStep({ curve }: Pick<Report, 'curve'>): number {
  const last = curve.at(-1);
  if (last === undefined || curve.length < 2) {
    throw new RangeError(`curve: expected at least two points, got ${curve.length}`);
  }
  const start = curve.findIndex(({ steps }) => steps >= last.steps * startUpPart);
  const warm = start < 0 || start === curve.length - 1 ? curve : curve.slice(start);
  const count = Math.min(intervals, warm.length - 1);
  const edges = Array.from({ length: count + 1 }, (_, at) => warm[Math.round((at * (warm.length - 1)) / count)]!);
  return median(
    edges.slice(1).map((to, at) => {
      const from = edges[at]!;
      return ((to.seconds - from.seconds) / (to.steps - from.steps)) * 1000;
    }),
  );
}

/** Samples over which accuracy is averaged: the standard error of the mean is about 1 %. */
const samplesAveraged = 1_000;

/** Steps and seconds of training after which the accuracy is first reached, or undefined if it never is. */
export function timeTo(accuracy: number, curve: readonly CurvePoint[], batch: number) {
  for (const [index, { steps, seconds }] of curve.entries()) {
    let samples = 0;
    let correct = 0;
    for (let back = index; back >= 0 && samples < samplesAveraged; back--) {
      const count = (curve[back]!.steps - (curve[back - 1]?.steps ?? 0)) * batch;
      samples += count;
      correct += (curve[back]!.accuracy ?? 0) * count;
    }
    if (samples >= Math.min(samplesAveraged, batch) && correct / samples >= accuracy) return { steps, seconds };
  }
  return undefined;
}

/** Greatest difference between the losses of two runs at the same steps; infinite if they have different points. */
export function curveDistance(first: readonly CurvePoint[], second: readonly CurvePoint[]): number {
  if (first.length !== second.length) return Number.POSITIVE_INFINITY;
  return first.reduce((most, { steps, loss }, index) => {
    const other = second[index]!;
    return other.steps === steps ? Math.max(most, Math.abs(loss - other.loss)) : Number.POSITIVE_INFINITY;
  }, 0);
}

/** Speed-up over the baseline, round by round. */
export function speedUps(msPerStep: readonly number[], baselineMsPerStep: readonly number[]): Spread {
  return spread(pairedRatios(baselineMsPerStep.slice(0, msPerStep.length), msPerStep));
}

export const stepParts = ['compute', 'pack', 'send', 'wait', 'reduce', 'optimizer'] as const;
export type StepPart = (typeof stepParts)[number];

/** Milliseconds of each part of a step: the median over rounds of each run's median. */
export function partsOf(times: readonly StepTimes[]): Readonly<Record<StepPart, number>> {
  const entries = stepParts.map((part) => [part, median(times.map((each) => each[`${part}Ms`]))]);
  return Object.fromEntries(entries) as Record<StepPart, number>;
}

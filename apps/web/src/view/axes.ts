/** The axes of curves: their labels, and the ranges of vertical ones. */
import type uPlot from 'uplot';

/** Values with these digits, from 1e-12 up to the largest float32. */
function valuesOf(...digits: readonly number[]): number[] {
  const powers = Array.from({ length: 51 }, (_, index) => index - 12);
  return powers.flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`)));
}

/** Labels of a logarithmic axis and its possible ends, so that its range rarely changes. */
const logarithmicBounds = valuesOf(1, 2, 5);
const closerLabels = valuesOf(1, 2, 3, 4, 5, 7);

function logarithmicRange(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0.1, 5];
  const below = logarithmicBounds.findLast((bound) => bound <= low) ?? logarithmicBounds[0]!;
  const above = logarithmicBounds.find((bound) => bound >= high) ?? high;
  return [below, above > below ? above : below * 10];
}

/** Returns all bounds in the range: with more labels between two or three of them, or only powers of ten among many. */
function logarithmicSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const isIn = (value: number): boolean => value >= low && value <= high;
  const bounds = logarithmicBounds.filter(isIn);
  if (bounds.length < 4) return closerLabels.filter(isIn);
  if (bounds.length <= 8) return bounds;
  const powers = bounds.filter((bound) => /^[^1-9]*1/.test(String(bound)));
  return powers.filter((_, index) => index % Math.ceil(powers.length / 8) === 0);
}

const label = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 6 });

/** Labels in the page's language; uPlot's own are in the browser's. */
export function labels(_plot: uPlot, splits: readonly number[]): string[] {
  return splits.map((split) => label.format(split));
}

/** As short as the place next to an axis. */
function shortText(value: number): string {
  const isPlain = value === 0 || (value >= 1e-4 && value < 1e6);
  return isPlain ? String(value) : value.toExponential().replace('+', '');
}

/** Ends at 100 %, and starts at the multiple of 10 below the 3rd percentile: the very first values may be cut off. */
function percentRange(plot: uPlot, low: number | null): [number, number] {
  const values = (plot.data[1] ?? []).filter((value) => typeof value === 'number').sort((a, b) => a - b);
  const typical = values[Math.floor(values.length * 0.03)] ?? low ?? 0;
  return [Math.min(90, Math.max(0, Math.floor(typical / 10) * 10)), 100];
}

export const verticalAxes = {
  /** Any values. */
  plain: { scale: {}, axis: {} },
  fromZero: {
    scale: { range: (_plot, _low, high) => [0, (high || 1) * 1.05] },
    // uPlot's own labels have three decimals, which are too few for learning rates.
    axis: { values: (_plot, splits) => splits.map((split) => shortText(Number(split.toPrecision(6)))) },
  },
  logarithmic: {
    scale: { distr: 3, range: logarithmicRange },
    axis: {
      values: (_plot, splits) => splits.map((split) => (split === null ? '' : shortText(split))),
      splits: logarithmicSplits,
      // `splits` needs no step, but uPlot hides an axis without one that is at least as long as the range. Below 5 it
      // knows only certain steps.
      incrs: (_plot, _axis, low, high) => [Math.max(5, high - low)],
      filter: (_plot, splits) => splits,
    },
  },
  percent: {
    scale: { range: percentRange },
    axis: { values: (_plot, splits) => splits.map((split) => `${split} %`) },
  },
} as const satisfies Readonly<Record<string, { readonly scale: uPlot.Scale; readonly axis: uPlot.Axis }>>;

export type VerticalAxis = keyof typeof verticalAxes;

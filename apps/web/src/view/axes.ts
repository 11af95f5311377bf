/** The vertical axes of curves: their ranges and labels. */
import type uPlot from 'uplot';

/**
 * 1, 2 and 5 times powers of ten, up to the largest float32: labels of an axis and its possible ends, so that its range
 * rarely changes.
 */
const logarithmicBounds = Array.from({ length: 51 }, (_, index) => index - 12).flatMap((power) =>
  [1, 2, 5].map((digit) => Number(`${digit}e${power}`)),
);

function logarithmicRange(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0.1, 5];
  const below = logarithmicBounds.findLast((bound) => bound <= low) ?? logarithmicBounds[0]!;
  const above = logarithmicBounds.find((bound) => bound >= high) ?? high;
  return [below, above > below ? above : below * 10];
}

/** Returns all bounds in the range, or only powers of ten if there are more than eight. */
function logarithmicSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const bounds = logarithmicBounds.filter((bound) => bound >= low && bound <= high);
  if (bounds.length <= 8) return bounds;
  const powers = bounds.filter((bound) => /^[^1-9]*1/.test(String(bound)));
  return powers.filter((_, index) => index % Math.ceil(powers.length / 8) === 0);
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

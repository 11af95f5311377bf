/** How the curves are drawn: uPlot's options for each chart. */
import type uPlot from 'uplot';
import { lossText, percent, significant } from '../look/format.ts';
import { cssColor } from '../look/theme.ts';
import type { ChartSettings } from '../watch/chart-settings.ts';
import type { CurveKind } from '../watch/curves.ts';

type ChartKind = { title: string; format: (value: number) => string; scale: uPlot.Scale; axis: uPlot.Axis };

export type ChartName = CurveKind | 'rate';

export const chartKinds: Readonly<Record<ChartName, ChartKind>> = {
  loss: {
    title: 'Loss',
    format: lossText,
    scale: { distr: 3, range: lossRange },
    axis: {
      values: (_plot, splits) => splits.map((split) => (split === null ? '' : String(split))),
      splits: lossSplits,
      filter: (_plot, splits) => splits,
    },
  },
  accuracy: {
    title: 'Accuracy',
    format: (value) => percent(value / 100),
    scale: { range: accuracyRange },
    axis: { values: (_plot, splits) => splits.map((split) => `${split} %`) },
  },
  rate: {
    title: 'Learning rate',
    format: significant,
    scale: { range: (_plot, _low, high) => [0, (high || 1) * 1.05] },
    axis: {},
  },
};

export interface ChartExtent {
  /** Length of the whole run on its axis; infinite if unknown. */
  readonly length: number;
  /** Number of earlier runs drawn behind the current one. */
  readonly earlierRuns: number;
}

const earlierColors = ['--run-1', '--run-2', '--run-3', '--run-4', '--run-5', '--run-6'] as const;

/** Returns the color token of an earlier run; index 0 is the oldest. */
export function earlierColor(index: number): string {
  return earlierColors[index % earlierColors.length]!;
}

export function chartOptions(
  kind: ChartName,
  { axis: along, isLogarithmic }: ChartSettings,
  { length, earlierRuns }: ChartExtent,
  element: HTMLElement,
): uPlot.Options {
  const shown = kind === 'loss' && !isLogarithmic ? linearLoss : chartKinds[kind];
  const color = (token: string) => () => cssColor(token);
  const axis: uPlot.Axis = {
    stroke: color('--text-muted'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: color('--border'), width: 1 },
    ticks: { show: false },
  };
  const line: uPlot.Series = { width: 2, points: { show: false }, spanGaps: true };
  const alone = { show: isAlone, size: dotSize, width: 0, fill: color('--train') };
  const dots = { show: fitDots, size: dotSize, width: 2, stroke: color('--test'), fill: color('--surface') };
  const least = along === 'epoch' ? 0.01 : 1;
  const tickSteps = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((power) =>
    [1, 2, 5].map((digit) => least * power * digit),
  );
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { y: false, drag: { setScale: false }, points: { show: false }, sync: { key: 'curves' } },
    scales: {
      x: { time: false, range: (_plot, _low, high) => [0, shownLength(high ?? 0, length, least * 500)] },
      y: shown.scale,
    },
    axes: [
      { ...axis, space: 48, size: 28, gap: 6, incrs: tickSteps },
      { ...axis, space: 32, size: 56, gap: 8, ...shown.axis },
    ],
    series: [
      {},
      { ...line, stroke: color('--train-faint'), width: 1 },
      { ...line, stroke: color('--train'), points: alone },
      { ...line, stroke: color('--test'), points: dots },
      ...Array.from({ length: earlierRuns }, (_, run) => ({ ...line, stroke: color(earlierColor(run)), width: 1.25 })),
    ],
  };
}

/** Diameter of a dot in pixels. */
const dotSize = 7;

/** Whether the points of a series fit side by side as dots; more points are drawn as a line. */
function fitDots(plot: uPlot, series: number): boolean {
  return pointCount(plot, series) * dotSize <= plot.over.clientWidth;
}

/** Whether a series has a single point, which a line would not show. */
function isAlone(plot: uPlot, series: number): boolean {
  return pointCount(plot, series) === 1;
}

function pointCount(plot: uPlot, series: number): number {
  return (plot.data[series] ?? []).filter((value) => typeof value === 'number').length;
}

/** Returns the visible length of the axis: short at first, then doubled whenever the curve reaches the end. */
function shownLength(newest: number, length: number, first: number): number {
  // Time has no known end: the curve fills the width.
  if (length === Number.POSITIVE_INFINITY) return Math.max(1, newest);
  let shown = Math.min(length, first);
  while (shown < length && shown < newest) shown = Math.min(length, shown * 2);
  return shown;
}

const linearLoss: Pick<ChartKind, 'scale' | 'axis'> = {
  scale: { range: (_plot, _low, high) => [0, (high ?? 1) * 1.05] },
  axis: {},
};

/** 1, 2 and 5 times powers of ten: labels of the axis and its possible ends, so that its range rarely changes. */
const lossBounds = [-4, -3, -2, -1, 0, 1, 2, 3].flatMap((power) =>
  [1, 2, 5].map((digit) => Number((digit * 10 ** power).toPrecision(6))),
);

function lossRange(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0.1, 5];
  const below = lossBounds.findLast((bound) => bound <= low) ?? lossBounds[0]!;
  const above = lossBounds.find((bound) => bound >= high) ?? high;
  return [below, above > below ? above : below * 10];
}

/** Returns all bounds in the range, or only powers of ten if there are more than eight. */
function lossSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const bounds = lossBounds.filter((bound) => bound >= low && bound <= high);
  return bounds.length <= 8 ? bounds : bounds.filter((bound) => /^[^1-9]*1/.test(String(bound)));
}

/** Ends at 100 %, and starts at the multiple of 10 below the 3rd percentile: the very first steps may be cut off. */
function accuracyRange(plot: uPlot, low: number | null): [number, number] {
  const values = (plot.data[1] ?? []).filter((value) => typeof value === 'number').sort((a, b) => a - b);
  const typical = values[Math.floor(values.length * 0.03)] ?? low ?? 0;
  return [Math.min(90, Math.max(0, Math.floor(typical / 10) * 10)), 100];
}

/** How the curves are drawn: uPlot's options for the loss and for the accuracy. */
import type uPlot from 'uplot';
import { lossText, percent } from '../look/format.ts';
import { cssColor } from '../look/theme.ts';
import type { CurveKind } from '../watch/curves.ts';

type ChartKind = { title: string; format: (value: number) => string; scale: uPlot.Scale; axis: uPlot.Axis };

export const chartKinds: Readonly<Record<CurveKind, ChartKind>> = {
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
};

/** @param epochs of the whole run */
export function chartOptions(kind: CurveKind, epochs: number, element: HTMLElement): uPlot.Options {
  const color = (token: string) => () => cssColor(token);
  const axis: uPlot.Axis = {
    stroke: color('--text-muted'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: color('--border'), width: 1 },
    ticks: { show: false },
  };
  const line: uPlot.Series = { width: 2, points: { show: false }, spanGaps: true };
  const dots = { show: true, size: 7, width: 2, stroke: color('--test'), fill: color('--surface') };
  const epochSteps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { y: false, drag: { setScale: false }, points: { show: false } },
    scales: {
      x: { time: false, range: (_plot, _low, high) => [0, shownEpochs(high ?? 0, epochs)] },
      y: chartKinds[kind].scale,
    },
    axes: [
      { ...axis, space: 48, size: 28, gap: 6, incrs: epochSteps },
      { ...axis, space: 32, size: 56, gap: 8, ...chartKinds[kind].axis },
    ],
    series: [
      {},
      { ...line, stroke: color('--train-faint'), width: 1 },
      { ...line, stroke: color('--train') },
      { ...line, stroke: color('--test'), points: dots },
    ],
  };
}

/** Width of the axis: at first five epochs, then doubled whenever the curve reaches its end. */
function shownEpochs(newest: number, epochs: number): number {
  let shown = Math.min(epochs, 5);
  while (shown < epochs && shown < newest) shown = Math.min(epochs, shown * 2);
  return shown;
}

/** 1, 2 and 5 times powers of ten: bounds of the axis, so that it moves seldom, and its labels. */
const lossBounds = [-4, -3, -2, -1, 0, 1, 2, 3].flatMap((power) =>
  [1, 2, 5].map((digit) => Number((digit * 10 ** power).toPrecision(6))),
);

function lossRange(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0.1, 5];
  const below = lossBounds.findLast((bound) => bound <= low) ?? lossBounds[0]!;
  const above = lossBounds.find((bound) => bound >= high) ?? high;
  return [below, above > below ? above : below * 10];
}

/** All bounds in the range or, of more than eight, the powers of ten. */
function lossSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const bounds = lossBounds.filter((bound) => bound >= low && bound <= high);
  return bounds.length <= 8 ? bounds : bounds.filter((bound) => /^[^1-9]*1/.test(String(bound)));
}

/** Up to 100 %, from the ten below the 3rd percentile: the very first steps may lie outside. */
function accuracyRange(plot: uPlot, low: number | null): [number, number] {
  const values = (plot.data[1] ?? []).filter((value) => typeof value === 'number').sort((a, b) => a - b);
  const typical = values[Math.floor(values.length * 0.03)] ?? low ?? 0;
  return [Math.min(90, Math.max(0, Math.floor(typical / 10) * 10)), 100];
}

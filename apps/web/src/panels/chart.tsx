/** One curve over the epochs: every step faint, their smooth mean, and the test set at each epoch's end. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { cssColor, palette } from '../look/theme.ts';
import type { CurveTable } from '../watch/curves.ts';

type Column = (number | null)[];

export interface ChartProps {
  readonly title: string;
  /** `loss` on a logarithmic axis, `accuracy` on a linear one in percent. */
  readonly kind: 'loss' | 'accuracy';
  /** Reads the curves; called when `changed` fires. */
  readonly table: () => CurveTable;
  readonly changed: { readonly value: number; subscribe(run: () => void): () => void };
  /** Epochs of the whole run. */
  readonly epochs: number;
  readonly format: (value: number) => string;
}

interface Reading {
  readonly train: number | null;
  readonly test: number | null;
  /** Where the pointer is; absent where these are the newest values. */
  readonly epoch?: number;
}

/** Runs of so many epochs are shown whole from the beginning. */
const shortRunEpochs = 5;
/** The least time between two drawings. */
const drawEveryMs = 250;

export function Chart({ title, kind, table, changed, epochs, format }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const reading = useSignal<Reading>({ train: null, test: null });

  useEffect(() => {
    const element = frame.current!;
    const plot = new uPlot(plotOptions(kind, epochs, element), emptyData, element);
    let current: CurveTable | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;

    const read = (): void => {
      if (!current) return;
      const index = plot.cursor.idx;
      const [train, test] = columnsOf(kind, current).slice(1) as [Column, Column];
      reading.value =
        index === null || index === undefined
          ? { train: lastOf(train, train.length - 1), test: lastOf(test, test.length - 1) }
          : { train: lastOf(train, index), test: lastOf(test, index), epoch: current.epochs[index]! };
    };
    const draw = (): void => {
      timer = undefined;
      current = table();
      plot.setData([current.epochs, ...columnsOf(kind, current)] as uPlot.AlignedData);
      read();
    };
    const drawSoon = (): void => {
      timer ??= setTimeout(() => requestAnimationFrame(draw), drawEveryMs);
    };
    plot.hooks.setCursor = [read];
    const stop = [changed.subscribe(drawSoon), palette.subscribe(drawSoon)];
    const observer = new ResizeObserver(() => {
      plot.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    observer.observe(element);
    return () => {
      for (const end of stop) end();
      clearTimeout(timer);
      observer.disconnect();
      plot.destroy();
    };
  }, [kind, epochs, table, changed, reading]);

  const { train, test, epoch } = reading.value;
  const show = (value: number | null): string => (value === null ? '–' : format(value));
  const where = epoch === undefined ? 'now' : `epoch ${epoch.toFixed(2)}`;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <p class="legend">
          <span class="key key-train">train</span>
          <output>{show(train)}</output>
          <span class="key key-test">test</span>
          <output>{show(test)}</output>
          <span class="where">{where}</span>
        </p>
      </figcaption>
      <div
        ref={frame}
        class="plot"
        role="img"
        aria-label={`${title} over the epochs: training ${show(train)}, test ${show(test)} (${where})`}
      />
    </figure>
  );
}

const emptyData: uPlot.AlignedData = [[], [], [], []];

function columnsOf(kind: ChartProps['kind'], table: CurveTable): [Column, Column, Column] {
  return kind === 'loss'
    ? [table.loss, table.smoothLoss, table.testLoss]
    : [table.accuracy, table.smoothAccuracy, table.testAccuracy];
}

function lastOf(column: Column, from: number): number | null {
  for (let index = from; index >= 0; index--) if (column[index] !== null) return column[index] ?? null;
  return null;
}

function plotOptions(kind: ChartProps['kind'], epochs: number, element: HTMLElement): uPlot.Options {
  const color = (name: string) => () => cssColor(name);
  const axis = {
    stroke: color('--quiet'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: color('--hairline'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { y: false, drag: { setScale: false }, points: { show: false } },
    scales: {
      x: { time: false, range: (_plot, _low, high) => [0, horizon(high, epochs)] },
      y: kind === 'loss' ? { distr: 3, range: lossRange } : { range: accuracyRange },
    },
    axes: [
      {
        ...axis,
        space: 48,
        size: 28,
        gap: 6,
        incrs: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      },
      {
        ...axis,
        space: 32,
        size: 56,
        gap: 8,
        values: (_plot, splits) =>
          splits.map((split) => (split === null ? '' : kind === 'loss' ? String(split) : `${split} %`)),
        ...(kind === 'loss' ? { splits: lossSplits, filter: (_plot: uPlot, splits: number[]) => splits } : {}),
      },
    ],
    series: [
      {},
      { stroke: color('--train-faint'), width: 1, points: { show: false }, spanGaps: true },
      { stroke: color('--train'), width: 2, points: { show: false }, spanGaps: true },
      {
        stroke: color('--test'),
        width: 2,
        spanGaps: true,
        points: { show: true, size: 7, width: 2, stroke: color('--test'), fill: color('--paper') },
      },
    ],
  };
}

/** The whole of a short run; of a long one, so much that what is there fills at least half, so that the axis moves seldom. */
function horizon(newest: number | null, epochs: number): number {
  let shown = Math.min(epochs, shortRunEpochs);
  while (shown < epochs && shown < (newest ?? 0)) shown = Math.min(epochs, shown * 2);
  return shown;
}

/** Bounds at 1, 2 or 5 times a power of ten, so that the axis moves seldom. */
const lossBounds = [-4, -3, -2, -1, 0, 1, 2, 3].flatMap((power) =>
  [1, 2, 5].map((digit) => round(digit * 10 ** power)),
);

function round(value: number): number {
  return Number(value.toPrecision(6));
}

function lossRange(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0.1, 5];
  const below = lossBounds.filter((bound) => bound <= Math.max(low, lossBounds[0]!)).at(-1) ?? lossBounds[0]!;
  const above = lossBounds.find((bound) => bound >= high) ?? high;
  return [below, above > below ? above : below * 10];
}

function lossSplits(_plot: uPlot, _axis: number, low: number, high: number): number[] {
  const all = lossBounds.filter((bound) => bound >= low && bound <= high);
  return all.length <= 8 ? all : all.filter((bound) => /^[^1-9]*1/.test(String(bound)));
}

/** Up to 100 %, down to the ten below where nearly all points lie: the very first steps may leave the picture. */
function accuracyRange(plot: uPlot, low: number | null): [number, number] {
  const values = (plot.data[1] ?? []).filter((value): value is number => typeof value === 'number').sort(compare);
  const typical = values[Math.floor(values.length * 0.03)] ?? low ?? 0;
  return [Math.min(90, Math.max(0, Math.floor(typical / 10) * 10)), 100];
}

function compare(a: number, b: number): number {
  return a - b;
}

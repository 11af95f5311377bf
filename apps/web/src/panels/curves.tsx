/** The training curves: every step faint, their moving mean, and the test set at each epoch's end. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colorScheme } from '../look/theme.ts';
import { axisTitles, type ChartSettings, chartSettings } from '../watch/chart-settings.ts';
import type { Column, CurveAxis, CurveKind, CurveTable } from '../watch/curves.ts';
import type { RunStore } from '../watch/run-store.ts';
import { chartKinds, chartOptions } from './chart-options.ts';
import { ChartToolbar } from './chart-toolbar.tsx';

const drawEveryMs = 250;

export function Curves({ store }: { readonly store: RunStore }) {
  return (
    <section class="card curves-card" style={{ gridArea: 'curves' }} aria-labelledby="curves-title">
      <h2 id="curves-title" class="sr-only">
        Curves
      </h2>
      <ChartToolbar store={store} />
      <Chart store={store} kind="loss" />
      {store.run.value?.targetType !== 'values' && <Chart store={store} kind="accuracy" />}
    </section>
  );
}

interface ChartProps {
  readonly store: RunStore;
  readonly kind: CurveKind;
}

interface Reading {
  readonly train?: number | undefined;
  readonly test?: number | undefined;
  /** The place under the pointer; absent where these are the newest values. */
  readonly at?: number | undefined;
}

function Chart({ store, kind }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const reading = useSignal<Reading>({});
  const run = store.run.value;
  const settings = chartSettings.value;
  const { steps = 1, stepsPerEpoch = 1 } = run ?? {};
  const length = { epoch: steps / stepsPerEpoch, step: steps, time: Number.POSITIVE_INFINITY }[settings.axis];
  useEffect(
    () => startPlot(frame.current!, { store, kind, settings, length }, reading),
    [kind, length, settings, store, reading],
  );
  const { title, format } = chartKinds[kind];
  const { train, test, at } = reading.value;
  const where = at === undefined ? 'now' : placeText(settings.axis, at);
  const [trainText, testText] = [train, test].map((value) => (value === undefined ? '–' : format(value)));
  const label = `${title} over the ${axisTitles[settings.axis]}: training ${trainText}, test ${testText} (${where})`;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <p class="legend">
          <span class="key key-train">train</span>
          <output>{trainText}</output>
          <span class="key key-test">test</span>
          <output>{testText}</output>
          <span class="where">{where}</span>
        </p>
      </figcaption>
      <div ref={frame} class="plot" role="img" aria-label={label} />
    </figure>
  );
}

function placeText(axis: CurveAxis, at: number): string {
  if (axis === 'time') return `${at.toFixed(1)} s`;
  return axis === 'epoch' ? `epoch ${at.toFixed(2)}` : `step ${Math.round(at)}`;
}

interface PlotSetup extends ChartProps {
  readonly settings: ChartSettings;
  /** Of the whole run on its axis; infinite where that is not known. */
  readonly length: number;
}

/** Plots the curve in `element` and follows the store, the theme and the element's size; returns what ends it. */
function startPlot(element: HTMLElement, { store, kind, settings, length }: PlotSetup, reading: Signal<Reading>) {
  const plot = new uPlot(chartOptions(kind, settings, length, element), [[], [], [], []], element);
  let table: CurveTable | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const read = (): void => {
    if (table) reading.value = readTable(table, plot.cursor.idx ?? undefined);
  };
  const draw = (): void => {
    timer = undefined;
    table = store.curves(kind, settings)[0]!.table;
    plot.setData([table.at, table.train, table.smoothTrain, table.test]);
    read();
  };
  const scheduleDraw = (): void => {
    timer ??= setTimeout(() => requestAnimationFrame(draw), drawEveryMs);
  };
  plot.hooks.setCursor = [read];
  const unsubscribe = [store.curvesVersion, store.isOver, colorScheme].map((changing) =>
    changing.subscribe(scheduleDraw),
  );
  const observer = new ResizeObserver(() => {
    plot.setSize({ width: element.clientWidth, height: element.clientHeight });
  });
  observer.observe(element);
  return (): void => {
    for (const end of unsubscribe) end();
    clearTimeout(timer);
    observer.disconnect();
    plot.destroy();
  };
}

function readTable({ at: places, smoothTrain, test }: CurveTable, index?: number): Reading {
  const last = (column: Column): number | undefined =>
    column.findLast((value, at) => value !== null && at <= (index ?? at)) ?? undefined;
  return { train: last(smoothTrain), test: last(test), at: index === undefined ? undefined : places[index] };
}

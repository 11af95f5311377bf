/** The training curves: each step in a faint color, their moving mean, and the test result after each epoch. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { whole } from '../look/format.ts';
import { colorScheme } from '../look/theme.ts';
import { axisTitles, type ChartSettings, chartSettings } from '../watch/chart-settings.ts';
import type { Column, CurveAxis, CurveTable, RunCurve } from '../watch/curves.ts';
import type { RunStore } from '../watch/run-store.ts';
import { type ChartName, chartKinds, chartOptions, earlierColor } from './chart-options.ts';
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
      {store.run.value?.targetType !== 'values' && store.status.value.name !== 'failed' && (
        <Chart store={store} kind="accuracy" />
      )}
    </section>
  );
}

/** The learning rate of each step so far. Needs a run with a schedule. */
export function LearningRate({ store }: { readonly store: RunStore }) {
  return (
    <section class="card rate-card" aria-label="The schedule">
      <Chart store={store} kind="rate" />
    </section>
  );
}

interface ChartProps {
  readonly store: RunStore;
  readonly kind: ChartName;
}

interface Reading {
  readonly train?: number | undefined;
  readonly test?: number | undefined;
  /** The position under the pointer; absent if the values are the newest. */
  readonly at?: number | undefined;
}

function Chart({ store, kind }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const reading = useSignal<Reading>({});
  const run = store.run.value;
  const settings = chartSettings.value;
  const earlierRuns = kind === 'rate' ? 0 : store.earlierRuns.value.length;
  const { steps = 1, stepsPerEpoch = 1 } = run ?? {};
  const length = { epoch: steps / stepsPerEpoch, step: steps, time: Number.POSITIVE_INFINITY }[settings.axis];
  useEffect(
    () => startPlot(frame.current!, { store, kind, settings, length, earlierRuns }, reading),
    [kind, length, settings, store, reading, earlierRuns],
  );
  const { title, format } = chartKinds[kind];
  const { train, test, at } = reading.value;
  const where = at === undefined ? newestText(store) : placeText(settings.axis, at);
  const [trainText, testText] = [train, test].map((value) => (value === undefined ? '–' : format(value)));
  const values = kind === 'rate' ? trainText : `training ${trainText}, test ${testText}`;
  const label = `${title} over the ${axisTitles[settings.axis]}: ${values} (${where})`;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <p class="legend">
          <span class="key key-train">{kind === 'rate' ? 'of the step' : 'train'}</span>
          <output>{trainText}</output>
          {kind !== 'rate' && (
            <>
              <span class="key key-test">test</span>
              <output>{testText}</output>
            </>
          )}
          <span class="where">{where}</span>
        </p>
        {earlierRuns > 0 && <RunLegend store={store} />}
      </figcaption>
      <div ref={frame} class="plot" role="img" aria-label={label} />
    </figure>
  );
}

/** Names each run by the settings in which it differs. */
function RunLegend({ store }: { readonly store: RunStore }) {
  return (
    <ul class="legend runs" aria-label="Runs">
      <li class="key key-train">{store.label.value}</li>
      {store.earlierRuns.value.map(({ label }, index) => (
        <li key={index} class="key" style={{ '--key': `var(${earlierColor(index)})` }}>
          {label}
        </li>
      ))}
    </ul>
  );
}

/** Says when the newest values were received, in words of similar width, to avoid layout shift. */
function newestText({ isOver, status }: RunStore): string {
  if (isOver.value) return 'end';
  return status.value.isCurrent ? 'now' : 'last';
}

function placeText(axis: CurveAxis, at: number): string {
  if (axis === 'time') return `${at.toFixed(1)} s`;
  return axis === 'epoch' ? `epoch ${at.toFixed(2)}` : `step ${whole(at)}`;
}

interface PlotSetup extends ChartProps {
  readonly settings: ChartSettings;
  /** Length of the whole run on its axis; infinite if unknown. */
  readonly length: number;
  readonly earlierRuns: number;
}

/** Plots the curve in `element`, following the store, the theme and the element's size; returns a function to stop. */
function startPlot(element: HTMLElement, setup: PlotSetup, reading: Signal<Reading>) {
  const { store, kind, settings, length, earlierRuns } = setup;
  const none = Array.from({ length: 4 + earlierRuns }, () => []);
  const plot = new uPlot(chartOptions(kind, settings, { length, earlierRuns }, element), none as never, element);
  let table: CurveTable | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const read = (): void => {
    const { idx } = plot.cursor;
    if (table) reading.value = readTable(table, typeof idx === 'number' ? plot.data[0][idx] : undefined);
  };
  const draw = (): void => {
    timer = undefined;
    const [current, ...earlier] = kind === 'rate' ? store.rateCurves(settings) : store.curves(kind, settings);
    if (!current) return;
    table = current.table;
    // Another number of runs needs a new plot, which the component creates.
    if (earlier.length === earlierRuns) plot.setData(joinedTable(table, earlier));
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

/** Joins the columns of all runs on the union of their positions. */
function joinedTable({ at, train, smoothTrain, test }: CurveTable, earlier: readonly RunCurve[]): uPlot.AlignedData {
  const own: uPlot.AlignedData = [at, train, smoothTrain, test];
  if (earlier.length === 0) return own;
  return uPlot.join([own, ...earlier.map(({ table }): uPlot.AlignedData => [table.at, table.smoothTrain])]);
}

/** @param at a position on the axis; by default the end */
function readTable({ at: places, smoothTrain, test }: CurveTable, at?: number): Reading {
  const last = (column: Column): number | undefined =>
    column.findLast((value, index) => value !== null && places[index]! <= (at ?? places[index]!)) ?? undefined;
  return { train: last(smoothTrain), test: last(test), at };
}

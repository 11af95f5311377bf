/** The training curves over the epochs: every step faint, their moving mean, and the test set at each epoch's end. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colorScheme } from '../look/theme.ts';
import type { Column, CurveKind, CurveTable } from '../watch/curves.ts';
import type { RunStore } from '../watch/run-store.ts';
import { chartKinds, chartOptions } from './chart-options.ts';

const drawEveryMs = 250;

export function Curves({ store }: { readonly store: RunStore }) {
  return (
    <section class="card curves-card" style={{ gridArea: 'curves' }} aria-labelledby="curves-title">
      <h2 id="curves-title" class="sr-only">
        Curves
      </h2>
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
  /** The epoch under the pointer; absent where these are the newest values. */
  readonly epoch?: number | undefined;
}

function Chart({ store, kind }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const reading = useSignal<Reading>({});
  const run = store.run.value;
  const epochs = run ? run.steps / run.stepsPerEpoch : 1;
  useEffect(() => startPlot(frame.current!, { store, kind }, epochs, reading), [kind, epochs, store, reading]);
  const { title, format } = chartKinds[kind];
  const { train, test, epoch } = reading.value;
  const where = epoch === undefined ? 'now' : `epoch ${epoch.toFixed(2)}`;
  const [trainText, testText] = [train, test].map((value) => (value === undefined ? '–' : format(value)));
  const label = `${title} over the epochs: training ${trainText}, test ${testText} (${where})`;
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

/** Plots the curve in `element` and follows the store, the theme and the element's size; returns what ends it. */
function startPlot(element: HTMLElement, { store, kind }: ChartProps, epochs: number, reading: Signal<Reading>) {
  const plot = new uPlot(chartOptions(kind, epochs, element), [[], [], [], []], element);
  let table: CurveTable | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const read = (): void => {
    if (table) reading.value = readTable(table, plot.cursor.idx ?? undefined);
  };
  const draw = (): void => {
    timer = undefined;
    table = store.curveTable(kind);
    plot.setData([table.epochs, table.train, table.smoothTrain, table.test]);
    read();
  };
  const scheduleDraw = (): void => {
    timer ??= setTimeout(() => requestAnimationFrame(draw), drawEveryMs);
  };
  plot.hooks.setCursor = [read];
  const unsubscribe = [store.curvesVersion.subscribe(scheduleDraw), colorScheme.subscribe(scheduleDraw)];
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

function readTable({ epochs, smoothTrain, test }: CurveTable, index?: number): Reading {
  const last = (column: Column): number | undefined =>
    column.findLast((value, at) => value !== null && at <= (index ?? at)) ?? undefined;
  return { train: last(smoothTrain), test: last(test), epoch: index === undefined ? undefined : epochs[index] };
}

/** The training curves: each step in a faint color, their moving mean, and test and validation after each epoch. */
import type { RunMessage } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import uPlot from 'uplot';
import { Choice, download } from '../look/controls.tsx';
import { lossText, percent, significant, thousands } from '../look/format.ts';
import { axisTitles, type ChartSettings, chartSettings, cssColor, memories } from '../look/theme.ts';
import type { VerticalAxis } from '../view/axes.ts';
import { type Curve, CurvePlot } from '../view/curves.tsx';
import { axisEnd, type CurveAxis, type CurveKind, isOffScale, leastSpan } from '../watch/curves.ts';
import { isText, type RunStore } from '../watch/run-store.ts';
import { heldOutWord } from '../watch/run-texts.ts';

type ChartName = CurveKind | 'rate';

interface ChartKind {
  readonly title: string;
  readonly format: (value: number) => string;
  readonly y: VerticalAxis;
}

const chartKinds: Readonly<Record<ChartName, ChartKind>> = {
  loss: { title: 'Loss', format: lossText, y: 'logarithmic' },
  accuracy: { title: 'Accuracy', format: (value) => percent(value / 100), y: 'percent' },
  rate: { title: 'Learning rate', format: significant, y: 'fromZero' },
};

const earlierColors = ['--run-1', '--run-2', '--run-3', '--run-4', '--run-5', '--run-6'] as const;

/** Returns the color token of an earlier run; index 0 is the oldest. */
export function earlierColor(index: number): string {
  return earlierColors[index % earlierColors.length]!;
}

export function CurvesCard({ store }: { readonly store: RunStore }) {
  return (
    <section class="card curves-card" aria-labelledby="curves-title">
      <h2 id="curves-title" class="sr-only">
        Curves
      </h2>
      <Toolbar store={store} />
      <Chart store={store} kind="loss" />
      {hasAccuracy(store.run.value) && store.status.value.name !== 'failed' && <Chart store={store} kind="accuracy" />}
    </section>
  );
}

/** Whether accuracy is shown: not for values, nor for text, whose next token is often open. */
export function hasAccuracy(run: RunMessage | undefined): boolean {
  return run?.targetField.role !== 'value' && !isText(run);
}

/** The learning rate of each step so far. Needs a run with a schedule. */
export function LearningRate({ store }: { readonly store: RunStore }) {
  return (
    <section class="card rate-card" aria-label="The schedule">
      <Chart store={store} kind="rate" />
    </section>
  );
}

function Chart({ store, kind }: { readonly store: RunStore; readonly kind: ChartName }) {
  const settings = chartSettings.value;
  const version = useCurvesVersion(store);
  const columns = useMemo(() => columnsOf(store, kind, settings), [store, kind, settings, version]);
  const least = leastSpan(settings.axis);
  const { title, format, y } = chartKinds[kind];
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
      </figcaption>
      <CurvePlot
        {...columns}
        y={kind === 'loss' && !settings.isLogarithmic ? 'fromZero' : y}
        xEnd={(newest) => axisEnd(settings.axis, newest, store.run.value)}
        xSteps={[1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((power) => [1, 2, 5].map((digit) => least * power * digit))}
        format={format}
        placeText={(at) => (at === undefined ? newestText(store) : placeText(settings.axis, at))}
        name={([train = '–', test = '–'], place) =>
          `${title} over the ${axisTitles[settings.axis]}: ${kind === 'rate' ? train : `training ${train}, test ${test}`} (${place})`
        }
        isSynced
      />
    </figure>
  );
}

const drawEveryMs = 250;

/** Returns a number that changes with the curves, at most four times a second and only while the page is visible. */
export function useCurvesVersion({ curvesVersion, isOver }: RunStore): number {
  const version = useSignal(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = (): void => {
      timer = undefined;
      version.value++;
    };
    const scheduleDraw = (): void => {
      timer ??= setTimeout(() => requestAnimationFrame(draw), drawEveryMs);
    };
    const unsubscribe = [curvesVersion, isOver].map((changing) => changing.subscribe(scheduleDraw));
    return () => {
      for (const end of unsubscribe) end();
      clearTimeout(timer);
    };
  }, [curvesVersion, isOver]);
  return version.value;
}

/** Joins the curves of all runs on the union of their positions. */
function columnsOf(store: RunStore, kind: ChartName, settings: ChartSettings): { x: number[]; curves: Curve[] } {
  const [own, ...earlier] = kind === 'rate' ? store.rateCurves(settings) : store.curves(kind, settings);
  if (!own) return { x: [], curves: [] };
  const keptEpoch = store.progress.peek()?.kept?.epoch;
  const { at, train, smoothTrain, test, validation, kept } = own.table;
  const main = { color: '--train', legend: earlier.length === 0 ? 'line' : 'list' } as const;
  if (kind === 'rate') return { x: at, curves: [{ ...main, label: 'of the step', values: smoothTrain }] };
  const tables = [
    [at, train, smoothTrain, test, validation, kept],
    ...earlier.map(({ table }) => [table.at, table.smoothTrain]),
  ];
  const [x, steps, means, tests, validations, best, ...others] = uPlot.join(tables as uPlot.AlignedData[]) as [
    number[],
    ...uPlot.AlignedData,
  ];
  return {
    x,
    curves: [
      { label: '', color: '--train-faint', width: 1, values: steps!, legend: 'none' },
      // With earlier runs, the list names each run by the settings in which it differs.
      { ...main, label: earlier.length === 0 ? 'train' : own.label, values: means! },
      { label: heldOutWord(store.run.peek()), color: '--test', values: tests!, hasMarks: true },
      ...(validation.every((value) => value === null)
        ? []
        : [{ label: 'validation', color: '--validation', values: validations!, hasMarks: true, dash: [6, 4] }]),
      ...(kind === 'loss' && isText(store.run.peek()) ? [guessing(store.run.peek()!, x)] : []),
      ...(keptEpoch === undefined ? [] : [{ label: `kept epoch ${keptEpoch}`, color: '--text', values: best! }]),
      ...others.map((values, index) => {
        const isCut = kind === 'loss' && isOffScale(earlier[index]!.table, own.table);
        const label = `${earlier[index]!.label}${isCut ? ' (partly off the scale)' : ''}`;
        const color = earlierColor(index);
        return { label, color, values, width: 1.25, legend: 'list' as const, isOffScale: isCut };
      }),
    ] as Curve[],
  };
}

/** The loss of giving every token the same probability: a model that knows anything is below it. */
function guessing({ outputs }: RunMessage, x: readonly number[]): Curve {
  return {
    label: `guessing, ln ${thousands(outputs)}`,
    color: '--text-muted',
    dash: [4, 4],
    values: x.map(() => Math.log(outputs)),
  };
}

/** Says when the newest values were received, in words of similar width, to avoid layout shift. */
function newestText({ isOver, status }: RunStore): string {
  if (isOver.value) return 'end';
  return status.value.isCurrent ? 'now' : 'last';
}

function placeText(axis: CurveAxis, at: number): string {
  if (axis === 'time') return `${at.toFixed(1)} s`;
  return axis === 'epoch' ? `epoch ${at.toFixed(2)}` : `step ${thousands(at)}`;
}

function Toolbar({ store }: { readonly store: RunStore }) {
  const { value: settings } = chartSettings;
  const change = (changes: Partial<ChartSettings>): void => {
    chartSettings.value = { ...settings, ...changes };
  };
  return (
    <div class="row chart-toolbar" role="toolbar" aria-label="Curves">
      <Choice
        label="Over"
        value={settings.axis}
        options={Object.entries(axisTitles)}
        onChoose={(axis) => change({ axis: axis as CurveAxis })}
      />
      <Choice
        label="Smoothing"
        value={`${settings.memory}`}
        options={memories.map((memory) => [`${memory}`, memory === 1 ? 'none' : `${memory} points`])}
        onChoose={(memory) => change({ memory: Number(memory) })}
      />
      <label class="chart-switch">
        <input
          type="checkbox"
          checked={settings.isLogarithmic}
          onChange={({ currentTarget }) => change({ isLogarithmic: currentTarget.checked })}
        />
        Log scale
      </label>
      <span class="chart-files">
        <button type="button" class="small" onClick={() => saveCurvesCsv(store)}>
          CSV
        </button>
        <button type="button" class="small" onClick={() => void saveCurvesPng()}>
          PNG
        </button>
      </span>
    </div>
  );
}

/** Saves the curves as a table. */
export function saveCurvesCsv(store: RunStore): void {
  const { value: view } = chartSettings;
  const kinds = hasAccuracy(store.run.value) ? (['loss', 'accuracy'] as const) : (['loss'] as const);
  const columns: [name: string, values: readonly (number | null)[]][] = [];
  for (const kind of kinds) {
    const { at, train, smoothTrain, test, validation } = store.curves(kind, view)[0]!.table;
    const name = kind === 'loss' ? 'loss' : 'accuracy_percent';
    if (kind === 'loss') columns.push([axisTitles[view.axis], at]);
    columns.push([`train_${name}`, train], [`train_${name}_smoothed`, smoothTrain], [`test_${name}`, test]);
    if (validation.some((value) => value !== null)) columns.push([`validation_${name}`, validation]);
  }
  const rows = columns[0]![1].map((_, row) => columns.map(([, values]) => values[row] ?? ''));
  const lines = [columns.map(([name]) => name), ...rows].map((cells) => `${cells.join(',')}\n`);
  download('lockstep-curves.csv', new Blob(lines, { type: 'text/csv' }));
}

const titlePixels = 40;
const keyPixels = 22;

/** Saves the charts of the page with their legends, stacked in one picture. */
export async function saveCurvesPng(): Promise<void> {
  const parts = [...document.querySelectorAll('.chart')].flatMap((chart) => {
    const canvas = chart.querySelector('canvas');
    const keys = [...chart.querySelectorAll('.key')];
    const above = titlePixels + keys.length * keyPixels;
    return canvas ? [{ canvas, keys, above, title: chart.querySelector('h3')?.textContent ?? '' }] : [];
  });
  const picture = document.createElement('canvas');
  picture.width = Math.max(1, ...parts.map(({ canvas }) => canvas.width));
  picture.height = Math.max(
    1,
    parts.reduce((sum, { canvas, above }) => sum + canvas.height + above, 0),
  );
  const context = picture.getContext('2d')!;
  context.fillStyle = cssColor('--surface');
  context.fillRect(0, 0, picture.width, picture.height);
  const { fontFamily } = getComputedStyle(document.body);
  let top = 0;
  for (const { canvas, keys, above, title } of parts) {
    context.font = `600 20px ${fontFamily}`;
    context.fillStyle = cssColor('--text');
    context.fillText(title, 12, top + titlePixels - 12);
    context.font = `14px ${fontFamily}`;
    for (const [index, key] of keys.entries()) {
      const below = top + titlePixels + index * keyPixels;
      context.fillText(key.textContent ?? '', 32, below + 12);
      context.save();
      context.fillStyle = getComputedStyle(key, '::before').backgroundColor;
      context.fillRect(12, below, 12, 12);
      context.restore();
    }
    context.drawImage(canvas, 0, top + above);
    top += canvas.height + above;
  }
  const image = await new Promise<Blob | null>((resolve) => picture.toBlob(resolve, 'image/png'));
  if (image) download('lockstep-curves.png', image);
}

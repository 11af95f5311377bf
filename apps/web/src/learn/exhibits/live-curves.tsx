/** A chart of losses or accuracies that grows while a person changes settings, and a list of the changes. */
import { curveText, type LiveCurve, type LiveCurves } from '@lockstep/lesson';
import { useSignal } from '@preact/signals';
import type uPlot from 'uplot';
import { whole } from '../../look/format.ts';
import { cssColor } from '../../look/theme.ts';
import { lineOptions, Plot, plotOptions } from './plot.tsx';

type Measure = 'loss' | 'accuracy';

/** A color and a dash pattern for each curve, so that curves do not differ by color alone. */
const styles: readonly { readonly color: string; readonly dash: number[] }[] = [
  { color: '--train', dash: [] },
  { color: '--test', dash: [8, 4] },
  { color: '--good', dash: [2, 3] },
  { color: '--bad', dash: [12, 3, 2, 3] },
];

export function LiveCurvesView({ exhibit }: { readonly exhibit: LiveCurves }) {
  const measure = useSignal<Measure>('loss');
  const { curves, length } = exhibit;
  const longest = curves.reduce<readonly number[]>(
    (most, { steps }) => (steps.length > most.length ? steps : most),
    [],
  );
  const shown = measure.value;
  return (
    <>
      <label class="inline-field">
        Curve
        <select value={shown} onChange={({ currentTarget }) => (measure.value = currentTarget.value as Measure)}>
          <option value="loss">loss of the batches</option>
          <option value="accuracy">accuracy on test samples</option>
        </select>
      </label>
      <Plot
        name={`${exhibit.caption}: ${curves.map((curve) => `curve ${curve.label}, ${curveText(curve)}`).join('; ')}`}
        data={[[0, ...longest], ...curves.map((curve) => placesOf(curve, shown, longest.length))]}
        version={`${shown} ${curves.map(({ changes, steps }) => `${changes.length} ${steps.length > 0}`).join()}`}
        options={(element) => optionsOf(element, curves, shown, length)}
      />
      <Notes curves={curves} />
    </>
  );
}

/** Has a fixed height, so that a new curve causes no layout shift. */
function Notes({ curves }: Pick<LiveCurves, 'curves'>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="live-notes" tabIndex={0} aria-label="Curves and changes">
      <ul>
        {curves.map((curve, index) => (
          <li key={index} class="key" style={{ '--key': `var(${styles[index]!.color})` }}>
            {curve.label} <span class="live-figures">{curveText(curve)}</span>
          </li>
        ))}
      </ul>
      <ol class="live-changes">
        {curves.flatMap(({ changes }, index) =>
          changes.map(({ step, text }) => (
            <li key={`${index} ${step} ${text}`}>
              Curve {index + 1}, step {whole(step)}: {text}
            </li>
          )),
        )}
      </ol>
    </section>
  );
}

/** Returns the values of a curve, beginning with the untrained network. */
function placesOf({ untrained, losses, accuracies }: LiveCurve, measure: Measure, places: number): (number | null)[] {
  const values =
    measure === 'loss'
      ? [untrained.loss, ...losses]
      : [untrained.accuracy, ...accuracies].map((accuracy) => 100 * accuracy);
  return Array.from({ length: places + 1 }, (_, place) => {
    const value = values[place];
    return value !== undefined && Number.isFinite(value) ? value : null;
  });
}

function optionsOf(
  element: HTMLElement,
  curves: readonly LiveCurve[],
  measure: Measure,
  length: number,
): uPlot.Options {
  const base = plotOptions(element);
  const y: uPlot.Scale =
    measure === 'loss' ? { range: (plot, _low, high) => [0, topOf(plot, high ?? 1)] } : { range: [0, 100] };
  return {
    ...base,
    scales: { x: { time: false, range: [0, length] }, y },
    axes:
      measure === 'loss'
        ? base.axes!
        : [base.axes![0]!, { ...base.axes![1], values: (_plot, splits) => splits.map((split) => `${split} %`) }],
    series: [
      {},
      ...styles.slice(0, curves.length).map(({ color, dash }, index) => ({
        ...lineOptions(color),
        dash,
        // Before the first step, a curve is a single point.
        points: { show: curves[index]!.steps.length === 0, size: 8, fill: () => cssColor(color) },
      })),
    ],
    hooks: { draw: [(plot) => drawChanges(plot, curves)] },
  };
}

/** Ends the axis at three times the largest first loss, so that a diverging curve does not flatten the others. */
function topOf(plot: uPlot, high: number): number {
  const first = plot.data.slice(1).map((values) => Array.from(values).find((value) => typeof value === 'number') ?? 0);
  return Math.min(high, 3 * Math.max(0.1, ...first)) * 1.05;
}

/** Draws a vertical line at each change of a control, in the color of the curve. */
function drawChanges(plot: uPlot, curves: readonly LiveCurve[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const [index, { changes }] of curves.entries()) {
    ctx.strokeStyle = cssColor(styles[index]!.color);
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { step } of changes) {
      const x = plot.valToPos(step, 'x', true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
  }
  ctx.restore();
}

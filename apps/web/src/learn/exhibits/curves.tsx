/** Curves over a common axis, drawn by uPlot. */
import type { Curves } from '@lockstep/lesson';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colorScheme, cssColor } from '../../look/theme.ts';

/** Tokens of the colors of the first curve, the second, … */
const colors = ['--train', '--test', '--good'];

export function CurvesView({ exhibit }: { readonly exhibit: Curves }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const { series, x, isLogarithmic = false, caption, xLabel } = exhibit;
  const labels = series.map(({ label }) => label).join();
  useEffect(() => {
    const element = frame.current!;
    const created = new uPlot(optionsOf(element, labels.split(','), isLogarithmic), [[]], element);
    plot.current = created;
    const observer = new ResizeObserver(() => {
      created.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    observer.observe(element);
    const unsubscribe = colorScheme.subscribe(() => created.redraw());
    return () => {
      unsubscribe();
      observer.disconnect();
      created.destroy();
    };
  }, [labels, isLogarithmic]);
  useEffect(() => {
    plot.current?.setData([[...x], ...series.map(({ values }) => values.map(drawable))]);
  }, [exhibit, labels, isLogarithmic]);
  const ends = series.map(({ label, values }) => `${label} from ${short(values[0])} to ${short(values.at(-1))}`);
  return (
    <>
      <p class="legend">
        {series.map(({ label }, index) => (
          <span key={label} class="key" style={{ '--key': `var(${colors[index]})` }}>
            {label}
          </span>
        ))}
        <span>by {xLabel}</span>
      </p>
      <div ref={frame} class="lesson-plot" role="img" aria-label={`${caption}: ${ends.join(', ')}`} />
    </>
  );
}

function optionsOf(element: HTMLElement, labels: readonly string[], isLogarithmic: boolean): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => cssColor('--text-muted'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: () => cssColor('--border'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
    padding: [8, 12, 0, 0],
    axes: [
      { ...axis, size: 28, gap: 6 },
      { ...axis, size: 56 },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        label,
        stroke: () => cssColor(colors[index] ?? '--text'),
        width: 2,
        points: { show: false },
      })),
    ],
  };
}

/** uPlot leaves a gap for null; the largest of float32 would leave no room for the others. */
function drawable(value: number): number | null {
  return Number.isFinite(value) && Math.abs(value) < 1e5 ? value : null;
}

function short(value: number | undefined): string {
  return value === undefined ? 'nothing' : value.toPrecision(3);
}

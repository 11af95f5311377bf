/** Curves over a common axis. */
import type { Curves } from '@lockstep/lesson';
import type uPlot from 'uplot';
import { lineOptions, Plot, plotOptions } from './plot.tsx';

/** Color tokens by the index of the curve. */
const colors = ['--train', '--test', '--good', '--bad'];

export function CurvesView({ exhibit }: { readonly exhibit: Curves }) {
  const { series, x, isLogarithmic = false, caption, xLabel } = exhibit;
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
      <Plot
        name={`${caption}: ${ends.join(', ')}`}
        data={[[...x], ...series.map(({ values }) => values.map(drawable))]}
        version={`${series.map(({ label }) => label).join()} ${isLogarithmic} ${x.length <= mostPoints}`}
        options={(element) => ({
          ...plotOptions(element),
          ...(isLogarithmic ? { axes: logarithmicAxes(element) } : {}),
          scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
          series: [
            {},
            ...series.map(({ label }, index) => ({
              label,
              ...lineOptions(colors[index] ?? '--text'),
              // A few measured values are drawn as points connected by a line.
              points: { show: x.length <= mostPoints, size: 5 },
            })),
          ],
        })}
      />
    </>
  );
}

/** Maximum number of values for a curve to show its points. */
const mostPoints = 25;

/** uPlot rounds small axis values to 0, which a logarithmic axis does not have. */
function logarithmicAxes(element: HTMLElement): uPlot.Axis[] {
  const [x, y] = plotOptions(element).axes!;
  const text = (value: number | null): string | null => (value === null ? null : powerText(value));
  return [x!, { ...y, values: (_plot, splits) => splits.map(text) }];
}

function powerText(value: number): string | null {
  const isPowerOfTen = Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
  if (!isPowerOfTen) return null;
  return value >= 1e-3 && value <= 1e4 ? `${Number(value.toPrecision(1))}` : value.toExponential(0);
}

/** uPlot leaves a gap for null. The largest float32 value would leave no room for the others. */
function drawable(value: number): number | null {
  return Number.isFinite(value) && Math.abs(value) < 1e5 ? value : null;
}

function short(value: number | undefined): string {
  return value === undefined ? 'nothing' : value.toPrecision(3);
}

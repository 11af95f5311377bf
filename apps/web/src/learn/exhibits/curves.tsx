/** Curves over a common axis. */
import type { Curves } from '@lockstep/lesson';
import { cssColor } from '../../look/theme.ts';
import { Plot, plotOptions } from './plot.tsx';

/** Tokens of the colors of the first curve, the second, … */
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
        version={`${series.map(({ label }) => label).join()} ${isLogarithmic}`}
        options={(element) => ({
          ...plotOptions(element),
          scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
          series: [
            {},
            ...series.map(({ label }, index) => ({
              label,
              stroke: () => cssColor(colors[index] ?? '--text'),
              width: 2,
              points: { show: false },
            })),
          ],
        })}
      />
    </>
  );
}

/** uPlot leaves a gap for null; the largest of float32 would leave no room for the others. */
function drawable(value: number): number | null {
  return Number.isFinite(value) && Math.abs(value) < 1e5 ? value : null;
}

function short(value: number | undefined): string {
  return value === undefined ? 'nothing' : value.toPrecision(3);
}

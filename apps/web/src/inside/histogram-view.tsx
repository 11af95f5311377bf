/** A histogram of one tensor's values, with its first histogram as an outline. */
import type { Histogram } from '@lockstep/lesson';
import { significant } from '../look/format.ts';

interface HistogramViewProps {
  readonly histogram: Histogram;
  /** First histogram of the same tensor, drawn as a line. */
  readonly before: Histogram | undefined;
}

/** Size of the drawing, in its own units. */
const [width, height] = [100, 40];

export function HistogramView({ histogram, before }: HistogramViewProps) {
  const { name, shape, counts, limit } = histogram;
  const most = Math.max(...densities(histogram), ...(before ? densities(before) : []));
  const text = significant(Number(limit.toPrecision(2)));
  const bin = width / counts.length;
  return (
    <figure class="histogram">
      <figcaption>
        {name} <small>[{shape.join(', ')}]</small>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram of ${name}, from -${text} to ${text}`}
      >
        {densities(histogram).map((density, index) => {
          const tall = most === 0 ? 0 : (height * density) / most;
          return <rect key={index} x={index * bin} y={height - tall} width={bin * 0.9} height={tall} />;
        })}
        {before && most > 0 && limit > 0 && <polyline class="before" points={outline(before, limit, most)} />}
      </svg>
      <p class="scale-ends" aria-hidden="true">
        <span>−{text}</span>
        <span>0</span>
        <span>{text}</span>
      </p>
    </figure>
  );
}

/** Returns values per unit of the axis, because bin widths differ between histograms with different limits. */
function densities({ counts, limit }: Histogram): number[] {
  return counts.map((count) => (limit === 0 ? count : count / limit));
}

/** Returns a line through the middles of the bins, on an axis that ends at `limit`. */
function outline(histogram: Histogram, limit: number, most: number): string {
  const share = histogram.limit / limit;
  const points = densities(histogram).map((density, index, { length }) => {
    const place = ((index + 0.5) / length) * 2 - 1;
    return `${(width * (1 + place * share)) / 2},${height - (height * density) / most}`;
  });
  return points.join(' ');
}

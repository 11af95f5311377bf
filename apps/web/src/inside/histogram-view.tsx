/** How the values of one tensor are spread. */
import type { Histogram } from '@lockstep/lesson';
import { significant } from '../look/format.ts';

export function HistogramView({ histogram: { name, shape, counts, limit } }: { readonly histogram: Histogram }) {
  const most = Math.max(...counts);
  const width = 100 / counts.length;
  const text = significant(Number(limit.toPrecision(2)));
  return (
    <figure class="histogram">
      <figcaption>
        {name} <small>[{shape.join(', ')}]</small>
      </figcaption>
      <svg
        viewBox="0 0 100 40"
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram of ${name}, from -${text} to ${text}`}
      >
        {counts.map((count, bin) => {
          const height = most === 0 ? 0 : (40 * count) / most;
          return <rect key={bin} x={bin * width} y={40 - height} width={width * 0.9} height={height} />;
        })}
      </svg>
      <p class="scale-ends" aria-hidden="true">
        <span>−{text}</span>
        <span>0</span>
        <span>{text}</span>
      </p>
    </figure>
  );
}

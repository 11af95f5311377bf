/** The legend of the colors: a bar from the lowest to the highest value, and the gray of 0. */
import { significant } from '../look/format.ts';
import { palette } from './paint-tiles.ts';

interface ScaleLegendProps {
  readonly scale: number;
  /** Explanation of 0, if it has a meaning of its own. */
  readonly zero?: string;
}

export function ScaleLegend({ scale, zero }: ScaleLegendProps) {
  const text = significant(Number(scale.toPrecision(2)));
  return (
    <p class="scale-legend">
      <span>−{text}</span>
      <span
        class="scale-bar"
        aria-hidden="true"
        style={{ '--low': `var(${palette.negative})`, '--high': `var(${palette.positive})` }}
      />
      <span>{text}</span>
      {zero && (
        <span class="key" style={{ '--key': `var(${palette.zero})` }}>
          {zero}
        </span>
      )}
    </p>
  );
}

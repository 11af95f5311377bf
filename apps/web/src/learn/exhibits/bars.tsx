/** Bars on one axis with labeled ends. Negative bars go left from 0 and have another color. */
import { type BarAxis, type Bars, barAxis, barOn } from '@lockstep/lesson';

export function BarsView({ exhibit }: { readonly exhibit: Bars }) {
  const axis = barAxis(exhibit);
  const zero = percentOf(barOn(axis, 0).start);
  return (
    <ol class="lesson-bars">
      {exhibit.bars.map(({ label, value, text }, index) => {
        const { start, length } = barOn(axis, value);
        return (
          <li key={index}>
            <bdi class="bar-label">{label}</bdi>
            <svg class="bar" aria-hidden="true" focusable="false">
              <rect
                class={`bar-fill ${value < 0 ? 'negative' : 'positive'}`}
                x={percentOf(start)}
                width={percentOf(length)}
                height="100%"
              />
              <line class="bar-zero" x1={zero} x2={zero} y1="0" y2="100%" />
            </svg>
            <span class="bar-text">{text}</span>
          </li>
        );
      })}
      <li aria-hidden="true">
        <Ends axis={axis} zero={zero} />
      </li>
    </ol>
  );
}

/** Distance from an end, as a part of the axis, within which the label of zero would overlap the end's label. */
const nearEnd = 0.2;

function Ends({ axis, zero }: { readonly axis: BarAxis; readonly zero: string }) {
  const { start } = barOn(axis, 0);
  return (
    <p class="bar-ends">
      <span>{axis.fromText}</span>
      {start > nearEnd && start < 1 - nearEnd && (
        <span class="bar-zero-text" style={{ '--zero': zero }}>
          0
        </span>
      )}
      <span>{axis.toText}</span>
    </p>
  );
}

function percentOf(fraction: number): string {
  return `${(100 * fraction).toFixed(2)}%`;
}

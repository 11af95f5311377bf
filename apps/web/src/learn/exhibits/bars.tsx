/** Bars from 0, as long as the size of their values; negative ones have another color. */
import type { Bars } from '@lockstep/lesson';

export function BarsView({ exhibit: { bars } }: { readonly exhibit: Bars }) {
  const largest = Math.max(0, ...bars.map(({ value }) => Math.abs(value)).filter(Number.isFinite));
  return (
    <ol class="lesson-bars">
      {bars.map(({ label, value, text }, index) => (
        <li key={index}>
          <span class="bar-label">{label}</span>
          <svg class="bar" aria-hidden="true" focusable="false">
            <rect
              class={`bar-fill ${value < 0 ? 'negative' : 'positive'}`}
              width="100%"
              height="100%"
              style={{ '--fraction': Number.isFinite(value) && largest > 0 ? Math.abs(value) / largest : 0 }}
            />
          </svg>
          <span class="bar-text">{text}</span>
        </li>
      ))}
    </ol>
  );
}

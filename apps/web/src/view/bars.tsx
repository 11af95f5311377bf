/** Bars on one axis with labeled ends. Negative bars go left from the line at 0 and have another color. */
import { barAxis, barOn } from '@lockstep/lesson';

export interface Bar {
  readonly label: string;
  /** Undefined if it is not known yet. */
  readonly value: number | undefined;
  readonly text: string;
  /** Whether the bar stands out from the others; by default all bars do. */
  readonly isBest?: boolean;
}

interface BarsProps {
  readonly bars: readonly Bar[];
  /** Whether the axis goes from 0 to 100 %. */
  readonly areProbabilities?: boolean;
  readonly label?: string;
}

export function Bars({ bars, areProbabilities = false, label }: BarsProps) {
  const axis = barAxis({ bars: bars.map((bar) => ({ ...bar, value: bar.value ?? 0 })), areProbabilities });
  const { start } = barOn(axis, 0);
  const zero = percentOf(start);
  return (
    <ol class="bars" aria-label={label}>
      {bars.map(({ label: name, value = 0, text, isBest }, index) => {
        const { start: from, length } = barOn(axis, value);
        return (
          <li key={index} class={isBest === undefined ? '' : isBest ? 'best' : 'other'}>
            <bdi class="bar-label" title={name}>
              {name}
            </bdi>
            <svg class="bar" aria-hidden="true" focusable="false">
              <rect
                class={`bar-fill ${value < 0 ? 'negative' : ''}`}
                x={percentOf(from)}
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
        <p class="bar-ends">
          <span>{axis.fromText}</span>
          {start > nearEnd && start < 1 - nearEnd && (
            <span class="bar-zero-text" style={{ '--zero': zero }}>
              0
            </span>
          )}
          <span>{axis.toText}</span>
        </p>
      </li>
    </ol>
  );
}

/** Distance from an end, as a part of the axis, within which the label of zero would overlap the end's label. */
const nearEnd = 0.2;

function percentOf(fraction: number): string {
  return `${(100 * fraction).toFixed(2)}%`;
}

/** Bars on one axis with labeled ends. Negative bars go left from the line at 0 and have another color. */
import { type BarAxis, type Bar as BarExhibit, type Bars as BarsExhibit, barAxis, barOn } from '@lockstep/lesson';
import { Key } from '../look/controls.tsx';

export interface ShownBar extends Omit<BarExhibit, 'value'> {
  /** Undefined if it is not known yet. */
  readonly value: number | undefined;
  /** Whether the bar stands out from the others; by default all bars do. */
  readonly isBest?: boolean;
}

interface BarsProps extends Pick<BarsExhibit, 'areProbabilities' | 'keys'> {
  readonly bars: readonly ShownBar[];
  readonly label?: string;
}

export function BarChart({ bars, keys = [], areProbabilities = false, label }: BarsProps) {
  const axis = barAxis({ bars: bars.map((bar) => ({ ...bar, value: bar.value ?? 0 })), areProbabilities });
  const { start } = barOn(axis, 0);
  const zero = percentOf(start);
  return (
    <>
      {keys.length > 0 && (
        <p class="row legend">
          {keys.map((key) => (
            <Key key={key.label} color={key.color}>
              {key.label}
            </Key>
          ))}
        </p>
      )}
      <ol class="bars" aria-label={label}>
        {bars.map(({ label: name, text, isBest, range, ...bar }, index) => (
          <li key={index} class={isBest === undefined ? '' : isBest ? 'best' : 'other'}>
            <bdi class="bar-label" title={name}>
              {name}
            </bdi>
            <svg class="bar" aria-hidden="true" focusable="false">
              <Fill {...bar} axis={axis} />
              <line class="bar-zero" x1={zero} x2={zero} y1="0" y2="100%" />
              {range && (
                <line class="bar-range" x1={placeOn(axis, range[0])} x2={placeOn(axis, range[1])} y1="50%" y2="50%" />
              )}
            </svg>
            <span class="bar-text">{text}</span>
          </li>
        ))}
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
    </>
  );
}

function Fill({
  value = 0,
  color,
  parts,
  axis,
}: Pick<ShownBar, 'value' | 'color' | 'parts'> & { readonly axis: BarAxis }) {
  if (!parts) {
    const { start, length } = barOn(axis, value);
    const style = color === undefined ? undefined : { fill: `var(${color})` };
    return (
      <rect
        class={`bar-fill ${value < 0 ? 'negative' : ''}`}
        style={style}
        x={percentOf(start)}
        width={percentOf(length)}
        height="100%"
      />
    );
  }
  let from = 0;
  return parts.map((part) => {
    from += part.value;
    const x = placeOn(axis, from - part.value);
    const { length } = barOn(axis, part.value);
    return (
      <rect key={part.label} style={{ fill: `var(${part.color})` }} x={x} width={percentOf(length)} height="100%">
        <title>{part.label}</title>
      </rect>
    );
  });
}

/** Distance from an end, as a part of the axis, within which the label of zero would overlap the end's label. */
const nearEnd = 0.2;

function placeOn({ from, to }: BarAxis, value: number): string {
  return percentOf((value - from) / (to - from));
}

function percentOf(fraction: number): string {
  return `${(100 * fraction).toFixed(2)}%`;
}

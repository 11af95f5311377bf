/** A number with its label, in a `<dl>`. */
import type { ComponentChildren } from 'preact';

interface FigureProps {
  readonly label: ComponentChildren;
  readonly note?: string | undefined;
  readonly value: string | undefined;
}

export function Figure({ label, note, value }: FigureProps) {
  return (
    <div class="figure">
      <dt>
        {label}
        {note && <small> {note}</small>}
      </dt>
      <dd class={value === undefined ? 'unknown' : ''}>{value ?? '–'}</dd>
    </div>
  );
}

/** The frame of a panel: its title, a note next to it, and its content. */
import type { ComponentChildren } from 'preact';

interface CardProps {
  /** Determines the card's grid area, its class and the id of its title. */
  readonly name: string;
  readonly title: ComponentChildren;
  /** Text is shown as a note, elements as they are. */
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Card({ name, title, aside, children }: CardProps) {
  return (
    <section class={`card ${name}-card`} style={{ gridArea: name }} aria-labelledby={`${name}-title`}>
      <header class="card-head">
        <h2 id={`${name}-title`}>{title}</h2>
        {typeof aside === 'string' ? <p class="aside">{aside}</p> : aside}
      </header>
      {children}
    </section>
  );
}

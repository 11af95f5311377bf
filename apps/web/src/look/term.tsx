/** A term that shows its explanation when pressed. */
import type { ComponentChildren } from 'preact';

interface TermProps {
  /** Id of the explanation, unique on this page. */
  readonly id: string;
  readonly term: string;
  readonly explanation: string;
  /** The term as inflected in the text. */
  readonly children: ComponentChildren;
}

export function Term({ id, term, explanation, children }: TermProps) {
  return (
    <>
      <button type="button" class="term" popovertarget={id}>
        {children}
      </button>
      <span id={id} popover="auto" class="bubble" role="note">
        <strong>{term}</strong>: {explanation}
      </span>
    </>
  );
}

/** A term that explains itself when it is pressed. */
import type { ComponentChildren } from 'preact';

interface TermProps {
  /** Of its explanation, on this page. */
  readonly id: string;
  readonly term: string;
  readonly explanation: string;
  /** The form that the text uses. */
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

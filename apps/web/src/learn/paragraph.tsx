/** A paragraph whose terms explain themselves when they are pressed. */
import { glossary, partsOf } from '@lockstep/lesson';

interface ParagraphProps {
  readonly text: string;
  /** Tells the paragraphs of a page apart. */
  readonly name: string;
}

export function Paragraph({ text, name }: ParagraphProps) {
  return (
    <p class="prose">
      {partsOf(text).map((part, index) =>
        part.term === undefined ? (
          part.text
        ) : (
          <Term key={index} id={`term-${name}-${index}`} term={part.term} text={part.text} />
        ),
      )}
    </p>
  );
}

function Term({ id, term, text }: Record<'id' | 'term' | 'text', string>) {
  return (
    <>
      <button type="button" class="term" popovertarget={id}>
        {text}
      </button>
      <span id={id} popover="auto" class="bubble" role="note">
        <strong>{term}</strong>: {glossary[term]}
      </span>
    </>
  );
}

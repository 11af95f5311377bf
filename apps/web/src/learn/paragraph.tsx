/** A paragraph whose terms explain themselves when they are pressed. */
import { glossary, partsOf } from '@lockstep/lesson';
import { Term } from '../look/term.tsx';

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
          <Term key={index} id={`term-${name}-${index}`} term={part.term} explanation={glossary[part.term]!}>
            {part.text}
          </Term>
        ),
      )}
    </p>
  );
}

/** A paragraph with terms that show their explanation when pressed. */
import { glossary, partsOf } from '@lockstep/lesson';
import { Term } from '../look/term.tsx';

/** Punctuation that must stay on the line of its term. */
const punctuation = /^[.,;:)]+/;

/** Keeps a number and its percent sign on one line. */
export function unbroken(text: string): string {
  return text.replaceAll(' %', '\u00a0%');
}

interface ParagraphProps {
  readonly text: string;
  /** Distinguishes the paragraphs of a page. */
  readonly name: string;
}

export function Paragraph({ text, name }: ParagraphProps) {
  const parts = partsOf(unbroken(text));
  return (
    <p class="prose">
      {parts.map((part, index) => {
        if (part.term === undefined) return index === 0 ? part.text : part.text.replace(punctuation, '');
        const [mark = ''] = punctuation.exec(parts[index + 1]?.text ?? '') ?? [];
        return (
          <span key={index} class="term-with-mark">
            <Term id={`term-${name}-${index}`} term={part.term} explanation={glossary[part.term]!}>
              {part.text}
            </Term>
            {mark}
          </span>
        );
      })}
    </p>
  );
}

/** Paragraphs: with terms that show their explanation when pressed, or with links to other views. */
import { glossary, partsOf } from '@lockstep/lesson';
import { Fragment } from 'preact';
import { Term } from '../look/term.tsx';

/** Punctuation that must stay on the line of its term. */
const punctuation = /^[.,;:)]+/;

/** Keeps a number and its percent sign on one line. */
export function unbroken(text: string): string {
  return text.replaceAll(' %', '\u00a0%');
}

interface LinksProps {
  readonly text: string;
  readonly links: readonly { readonly href: string; readonly title: string }[];
}

/** Links to other views, after a text. */
export function Links({ text, links }: LinksProps) {
  if (links.length === 0) return null;
  return (
    <p class="aside">
      {text}{' '}
      {links.map(({ href, title }, index) => (
        <Fragment key={href}>
          {index > 0 && ' · '}
          <a href={href}>{title}</a>
        </Fragment>
      ))}
    </p>
  );
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

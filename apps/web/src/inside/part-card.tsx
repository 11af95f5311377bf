/** The frame of a part: its title, its text with terms, and links to the chapters that explain it. */
import { chapters, type InsidePart, insideParts } from '@lockstep/lesson';
import type { ComponentChildren } from 'preact';
import { Paragraph } from '../learn/paragraph.tsx';
import { Card } from '../look/controls.tsx';

interface PartCardProps {
  readonly id: InsidePart['id'];
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function PartCard({ id, aside, children }: PartCardProps) {
  const { title, text, chapters: explained } = insideParts.find((part) => part.id === id)!;
  const links = chapters.filter((chapter) => explained.includes(chapter.id));
  return (
    <Card name={`inside-${id}`} title={title} aside={aside}>
      <Paragraph text={text} name={id} />
      {children}
      {links.length > 0 && (
        <p class="chapter-links">
          In the lesson:{' '}
          {links.map((chapter, index) => (
            <>
              {index > 0 && ' · '}
              <a href={`#learn/${chapter.id}`}>{chapter.title}</a>
            </>
          ))}
        </p>
      )}
    </Card>
  );
}

/** Placeholder for parts that need a sample. */
export const noSample = <p class="empty">Shown once a sample is drawn or chosen.</p>;

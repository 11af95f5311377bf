/** The lesson: its list of chapters and, next to it, the open chapter. */
import { type Chapter, chapters } from '@lockstep/lesson';
import { useEffect, useRef } from 'preact/hooks';
import { ViewHeader } from '../panels/header.tsx';
import { ChapterView } from './chapter-view.tsx';
import './lesson.css';

export function Lesson({ chapterId }: { readonly chapterId: string }) {
  const found = chapters.findIndex(({ id }) => id === chapterId);
  const number = Math.max(0, found);
  const chapter = chapters[number]!;
  const isFirst = useRef(true);
  useEffect(() => {
    document.querySelector('.chapters [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
    // The element that had the keyboard focus belongs to the previous chapter.
    if (!isFirst.current) document.getElementById('main')?.focus({ preventScroll: true });
    isFirst.current = false;
    scrollTo(0, 0);
    const { title } = document;
    document.title = `${chapter.title}, Lockstep`;
    return () => {
      document.title = title;
    };
  }, [chapter.id]);
  return (
    <>
      <ViewHeader
        title="How a network learns"
        subtitle="Everything here is computed live in this tab, by the engine that trains."
        here={`#learn/${chapter.id}`}
        content="the chapter"
        other={{ href: '#inside', title: 'Inside' }}
      />
      <div class="lesson">
        <nav class="chapters" aria-label="Chapters">
          <ol>
            {chapters.map(({ id, title }, index) => (
              <li key={id}>
                <a href={`#learn/${id}`} aria-current={index === number ? 'page' : undefined}>
                  <span class="number">{index + 1}</span> {title}
                </a>
              </li>
            ))}
          </ol>
        </nav>
        <main id="main" tabIndex={-1}>
          <ChapterView key={chapter.id} chapter={chapter}>
            <Neighbors before={chapters[number - 1]} after={chapters[number + 1]} />
          </ChapterView>
        </main>
      </div>
    </>
  );
}

function Neighbors({ before, after }: Record<'before' | 'after', Chapter | undefined>) {
  return (
    <p class="neighbors">
      {before && (
        <a class="button" href={`#learn/${before.id}`}>
          ← {before.title}
        </a>
      )}
      {after && (
        <a class="button next" href={`#learn/${after.id}`}>
          {after.title} →
        </a>
      )}
    </p>
  );
}

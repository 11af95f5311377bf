/** The lesson: its list of chapters and, next to it, the open chapter with its text, controls and exhibits. */
import { allDigits, type Chapter, chapters, fewDigits, partsOfChapter } from '@lockstep/lesson';
import { type Signal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { thousands } from '../look/format.ts';
import { ViewHeader } from '../panels/header.tsx';
import { isText, type RunStore } from '../watch/run-store.ts';
import { Computation } from './computation.ts';
import { ControlField, controlDefaults } from './control-field.tsx';
import { ExhibitCard } from './exhibits.tsx';
import { LiveCard, liveCardId } from './live-card.tsx';
import type { Settings } from './messages.ts';
import { Links, Paragraph, unbroken } from './paragraph.tsx';

export interface LessonProps {
  readonly chapterId: string;
  readonly store: RunStore;
}

export function Lesson({ chapterId, store }: LessonProps) {
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
  }, [chapter.id]);
  return (
    <>
      <ViewHeader
        title="How a network learns"
        windowTitle={chapter.title}
        subtitle="Everything here is computed live in this tab, by the engine that trains the models."
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
          <ChapterView
            key={chapter.id}
            {...{ chapter, store }}
            before={chapters[number - 1]}
            after={chapters[number + 1]}
          />
        </main>
      </div>
    </>
  );
}

interface ChapterViewProps extends Pick<LessonProps, 'store'> {
  readonly chapter: Chapter;
  readonly before: Chapter | undefined;
  readonly after: Chapter | undefined;
}

function ChapterView({ chapter, before, after, store }: ChapterViewProps) {
  const computation = useMemo(() => new Computation(), []);
  const changed = useSignal<Settings>({});
  const settings = useComputed(() => ({ ...controlDefaults(chapter.controls), ...changed.value }));
  const compute = (): void => computation.send({ type: 'chapter', chapterId: chapter.id, settings: settings.value });
  useSignalEffect(compute);
  useEffect(() => () => computation.stop(), [computation]);
  const phase = computation.phase.value;
  // The parts of the live network's view that show the subject of the chapter.
  const insideLinks = partsOfChapter(chapter.id)
    .filter(({ id }) => id === 'weights' || (id === 'text') === isText(store.run.value))
    .map(({ id, title }) => ({ href: `#inside/${id}`, title }));
  // Avoids layout shift while exhibits load.
  const isShown = useRef(false);
  isShown.current ||= phase !== 'computing';
  return (
    <article class="chapter" aria-labelledby="chapter-title" data-phase={phase}>
      <div class="chapter-body">
        <section class="card">
          <h2 id="chapter-title">{chapter.title}</h2>
          <p class="claim">{unbroken(chapter.claim)}</p>
          {chapter.text.map((text, index) => (
            <Paragraph key={text} text={text} name={`${chapter.id}-${index}`} />
          ))}
          {chapter.digits && <DigitsNote chapter={chapter} />}
          <Links text="In the network that the run trains now:" links={insideLinks} />
          {chapter.live && <ToLiveRun isThere={isShown.current} />}
        </section>
        <Controls {...{ chapter, computation, changed }} settings={settings.value} onAgain={compute} />
        <div class="exhibits">
          {computation.exhibits.value.map((exhibit, index) => (
            <ExhibitCard key={`${index} ${exhibit.kind}`} exhibit={exhibit} />
          ))}
        </div>
      </div>
      {chapter.live && isShown.current && <LiveCard chapterId={chapter.id} live={chapter.live} />}
      {isShown.current && (
        <p class="row">
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
      )}
    </article>
  );
}

interface ControlsProps {
  readonly chapter: Chapter;
  readonly computation: Computation;
  readonly settings: Settings;
  /** Settings that differ from the chapter's defaults. */
  readonly changed: Signal<Settings>;
  readonly onAgain: () => void;
}

function Controls({ chapter, computation, settings, changed, onAgain }: ControlsProps) {
  return (
    <section class="card controls" aria-label="Controls">
      {Object.entries(chapter.controls).map(([name, control]) => (
        <ControlField
          key={name}
          name={name}
          control={control}
          value={settings[name]!}
          onChange={(value) => {
            changed.value = { ...changed.value, [name]: value };
          }}
        />
      ))}
      <div class="row">
        <button type="button" onClick={onAgain}>
          Again
        </button>
        <button type="button" disabled={Object.keys(changed.value).length === 0} onClick={() => (changed.value = {})}>
          Reset
        </button>
      </div>
      <p class="aside" role="status">
        {phaseText(computation)}
      </p>
    </section>
  );
}

function phaseText({ phase, failure }: Computation): string {
  if (phase.value === 'failed') return `This chapter cannot run here: ${failure.value}.`;
  return phase.value === 'computing' ? 'Computing …' : 'Computed.';
}

function ToLiveRun({ isThere }: { readonly isThere: boolean }) {
  const show = (): void => {
    const card = document.getElementById(liveCardId)!;
    card.scrollIntoView({ block: 'start' });
    card.focus({ preventScroll: true });
  };
  return (
    <p>
      <button type="button" disabled={!isThere} onClick={show}>
        See it train ↓
      </button>
    </p>
  );
}

function DigitsNote({ chapter }: { readonly chapter: Chapter }) {
  const { train, test } = chapter.digits === 'all' ? allDigits : fewDigits;
  return (
    <p class="aside">
      This chapter uses {chapter.digits === 'all' ? 'all' : 'the first'} {thousands(train)} training digits and{' '}
      {thousands(test)} test digits of MNIST. <code>npm run example -- {chapter.id}</code> shows the same figures in a
      terminal.
    </p>
  );
}

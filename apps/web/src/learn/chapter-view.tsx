/** One chapter: its text, its controls and its exhibits. */
import { allDigits, type Chapter, fewDigits, partsOfChapter, type Setting } from '@lockstep/lesson';
import { type Signal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { whole } from '../look/format.ts';
import { ChapterRun, type RunPhase } from './chapter-run.ts';
import { ControlField } from './control-field.tsx';
import { ExhibitView } from './exhibits/exhibit.tsx';
import { LiveCard, liveCardId } from './live-card.tsx';
import { Paragraph, unbroken } from './paragraph.tsx';

/** Settings by the name of their control. */
type Settings = Readonly<Record<string, Setting>>;

interface ChapterViewProps {
  readonly chapter: Chapter;
  /** Content that follows the exhibits. */
  readonly children: ComponentChildren;
}

export function ChapterView({ chapter, children }: ChapterViewProps) {
  const run = useMemo(() => new ChapterRun(), []);
  const changed = useSignal<Settings>({});
  const settings = useComputed(() => ({ ...firstSettings(chapter), ...changed.value }));
  useSignalEffect(() => run.start(chapter.id, settings.value));
  useEffect(() => () => run.stop(), [run]);
  const { phase } = run.phase.value;
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
          <LiveParts chapterId={chapter.id} />
          {chapter.live && <ToLiveRun isThere={isShown.current} />}
        </section>
        <Controls
          chapter={chapter}
          settings={settings.value}
          changed={changed}
          phase={run.phase.value}
          onAgain={() => run.start(chapter.id, settings.value)}
        />
        <div class="exhibits">
          {run.exhibits.value.map((exhibit, index) => (
            <ExhibitView key={`${index} ${exhibit.kind}`} exhibit={exhibit} />
          ))}
        </div>
      </div>
      {chapter.live && isShown.current && <LiveCard chapterId={chapter.id} live={chapter.live} />}
      {isShown.current && children}
    </article>
  );
}

interface ControlsProps {
  readonly chapter: Chapter;
  readonly settings: Settings;
  /** Settings that differ from the chapter's defaults. */
  readonly changed: Signal<Settings>;
  readonly phase: RunPhase;
  readonly onAgain: () => void;
}

function Controls({ chapter, settings, changed, phase, onAgain }: ControlsProps) {
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
      <div class="control-buttons">
        <button type="button" onClick={onAgain}>
          Again
        </button>
        <button type="button" disabled={Object.keys(changed.value).length === 0} onClick={() => (changed.value = {})}>
          Reset
        </button>
      </div>
      <p class="aside" role="status">
        {phaseText(phase)}
      </p>
    </section>
  );
}

function firstSettings({ controls }: Chapter): Settings {
  return Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
}

function phaseText(phase: RunPhase): string {
  if (phase.phase === 'failed') return `This chapter cannot be computed here: ${phase.message}.`;
  return phase.phase === 'computing' ? 'Computing …' : 'Computed.';
}

/** Links to the parts of the live network's view that show the subject of the chapter. */
function LiveParts({ chapterId }: { readonly chapterId: string }) {
  const parts = partsOfChapter(chapterId);
  if (parts.length === 0) return null;
  return (
    <p class="aside">
      In the network that the run trains now:{' '}
      {parts.map(({ id, title }, index) => (
        <>
          {index > 0 && ' · '}
          <a href={`#inside/${id}`}>{title}</a>
        </>
      ))}
    </p>
  );
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
        Watch it in training ↓
      </button>
    </p>
  );
}

function DigitsNote({ chapter }: { readonly chapter: Chapter }) {
  const { train, test } = chapter.digits === 'all' ? allDigits : fewDigits;
  return (
    <p class="aside">
      This chapter uses {chapter.digits === 'all' ? 'all' : 'the first'} {whole(train)} training digits and{' '}
      {whole(test)} test digits of MNIST. <code>npm run example -- {chapter.id}</code> shows the same figures in a
      terminal.
    </p>
  );
}

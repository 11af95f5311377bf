/** One chapter: its text, its controls, and what it computes with them. */
import { type Chapter, fewestDigits, partsOfChapter, type Setting } from '@lockstep/lesson';
import { type Signal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { whole } from '../look/format.ts';
import { ChapterRun, type RunPhase } from './chapter-run.ts';
import { ControlField } from './control-field.tsx';
import { ExhibitView } from './exhibits/exhibit.tsx';
import { LiveCard, liveCardId } from './live-card.tsx';
import { Paragraph } from './paragraph.tsx';

/** By the names of the chapter's controls. */
type Settings = Readonly<Record<string, Setting>>;

interface ChapterViewProps {
  readonly chapter: Chapter;
  /** What follows its exhibits. */
  readonly children: ComponentChildren;
}

export function ChapterView({ chapter, children }: ChapterViewProps) {
  const run = useMemo(() => new ChapterRun(), []);
  const changed = useSignal<Settings>({});
  const settings = useComputed(() => ({ ...firstSettings(chapter), ...changed.value }));
  useSignalEffect(() => run.start(chapter.id, settings.value));
  useEffect(() => () => run.stop(), [run]);
  const { phase } = run.phase.value;
  // What is below exhibits that still come would be pushed down.
  const isShown = useRef(false);
  isShown.current ||= phase !== 'computing';
  return (
    <article class="chapter" aria-labelledby="chapter-title" data-phase={phase}>
      <div class="chapter-body">
        <section class="card">
          <h2 id="chapter-title">{chapter.title}</h2>
          <p class="claim">{chapter.claim}</p>
          {chapter.text.map((text, index) => (
            <Paragraph key={text} text={text} name={`${chapter.id}-${index}`} />
          ))}
          {chapter.usesDigits && <DigitsNote chapter={chapter} />}
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
  /** Those that differ from what the chapter begins with. */
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

/** What a chapter begins with in a tab, which has a part of the digits. */
function firstSettings({ controls, fewDigits = {} }: Chapter): Settings {
  const fallbacks = Object.entries(controls).map(([name, { fallback }]) => [name, fallback]);
  return { ...Object.fromEntries(fallbacks), ...fewDigits };
}

function phaseText(phase: RunPhase): string {
  if (phase.phase === 'failed') return `This chapter cannot be computed here: ${phase.message}.`;
  return phase.phase === 'computing' ? 'Computing …' : 'Computed.';
}

/** Where the live network shows the chapter's subject. */
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
  return (
    <p class="aside">
      This tab computes with the first {whole(fewestDigits.train)} of MNIST's 60,000 training digits and{' '}
      {whole(fewestDigits.test)} test digits. A terminal computes with all of them, and gets higher accuracies:{' '}
      <code>npm run example -- {chapter.id}</code>. <a href="#run">The run</a> trains on all of its data.
    </p>
  );
}

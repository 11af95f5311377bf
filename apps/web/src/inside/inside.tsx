/** The live network from inside: its weights while they form, and one sample on its way through it. */
import type { LabeledSample } from '@lockstep/lesson';
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Predictor } from '../draw/predictor.ts';
import { whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import { takesDrawings } from '../panels/draw.tsx';
import { Mark, ThemeButton } from '../panels/header.tsx';
import type { RunStore } from '../watch/run-store.ts';
import { ActivationsPart } from './activations-part.tsx';
import { drawnSample, firstDrawing, followsSamples } from './chosen-sample.ts';
import { GradientPart } from './gradient-part.tsx';
import { openInspection } from './inspection.ts';
import { SamplePart } from './sample-part.tsx';
import { StepPart } from './step-part.tsx';
import { WeightsPart } from './weights-part.tsx';
import '../learn/lesson.css';
import './inside.css';

export interface InsideProps {
  readonly store: RunStore;
  readonly predictor: Predictor;
  /** The part to begin with; empty for the first. */
  readonly part: string;
  readonly requestWeights: () => void;
}

export function Inside({ store, predictor, part, requestWeights }: InsideProps) {
  const { strokes, label, picked, sample } = useChosenSample(store, predictor);
  const inspection = useMemo(() => openInspection({ store, sample, requestWeights }), []);
  useEffect(() => () => inspection.close(), [inspection]);
  useEffect(() => {
    document.querySelector(`.inside-${part}-card`)?.scrollIntoView();
    const { title } = document;
    document.title = 'Inside the network, Lockstep';
    return () => {
      document.title = title;
    };
  }, [part]);
  const run = store.run.value;
  const { weightView, step, sample: inspected } = inspection.inspected.value ?? {};
  const names = Array.from({ length: run?.outputs ?? 0 }, (_, index) => outputName(run, index));
  const note = step === undefined ? '' : `${inspection.isHeld.value ? 'held ' : ''}after step ${whole(step)}`;
  const labelText = sample.value ? outputName(run, sample.value.label) : '';
  return (
    <>
      <a class="skip" href={`#inside/${part}`} onClick={focusMain}>
        Skip to the network
      </a>
      <InsideHeader store={store} note={note} />
      <main id="main" tabIndex={-1} class="inside">
        {inspection.failure.value && (
          <p class="error" role="status">
            The network cannot be shown here: {inspection.failure.value}.
          </p>
        )}
        <WeightsPart view={weightView} note={note} />
        <SamplePart store={store} strokes={strokes} label={label} picked={picked} />
        <ActivationsPart
          trace={inspected?.trace}
          sampleShape={run?.sampleShape ?? []}
          names={names}
          note={inspected ? `label ${labelText}` : ''}
        />
        <GradientPart inspected={inspected} label={labelText} names={names} />
        <StepPart {...{ run, inspected, names, step }} label={labelText} isHeld={inspection.isHeld} />
      </main>
    </>
  );
}

/** What was drawn last beside the run, else a first drawing. */
function useChosenSample(store: RunStore, predictor: Predictor) {
  const drawn = predictor.strokes.peek();
  const strokes = useSignal(drawn.length > 0 ? drawn : firstDrawing.strokes);
  const label = useSignal(firstDrawing.label);
  const picked = useSignal<LabeledSample>();
  const sample = useComputed(() => {
    const run = store.run.value;
    if (!followsSamples(run)) return undefined;
    return picked.value ?? (takesDrawings(run) ? drawnSample(strokes.value, label.value) : undefined);
  });
  return { strokes, label, picked, sample };
}

/** A link would change the address. */
function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function InsideHeader({ store, note }: { readonly store: RunStore; readonly note: string }) {
  const run = store.run.value;
  const { name = 'model' } = (run?.model ?? {}) as { readonly name?: string };
  return (
    <header class="top">
      <h1>
        <Mark />
        Inside the network
      </h1>
      <p class="subtitle">
        {run ? `${name}, ${whole(run.parameters)} parameters, ${note} · ${store.status.value.title}` : '\u00a0'}
      </p>
      <div class="top-buttons">
        <a class="button" href="#run">
          The run
        </a>
        <a class="button" href="#learn">
          Learn
        </a>
        <ThemeButton />
      </div>
    </header>
  );
}

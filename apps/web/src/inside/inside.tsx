/** The live network: its weights during training, and one sample on its way through it. */
import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Predictor } from '../draw/predictor.ts';
import { thousands } from '../look/format.ts';
import { ViewHeader } from '../panels/header.tsx';
import { isText, modelName, type RunStore } from '../watch/run-store.ts';
import { openInspection } from './inspection.ts';
import { ActivationsPart, GradientPart, SamplePart, TextPart, WeightsView } from './parts.tsx';
import { useChosenSample, useTypedText } from './sample.ts';
import './inside.css';

export interface InsideProps {
  readonly store: RunStore;
  readonly predictor: Predictor;
  /** The part to scroll to first; empty for the first part. */
  readonly part: string;
  readonly requestWeights: () => void;
}

export function Inside({ store, predictor, part, requestWeights }: InsideProps) {
  const choice = useChosenSample(store, predictor);
  const typed = useTypedText(store);
  const inspection = useMemo(
    () => openInspection({ store, sample: choice.sample, text: typed.text, requestWeights }),
    [],
  );
  useEffect(() => () => inspection.close(), [inspection]);
  const chosen = useSignal(0);
  const run = store.run.value;
  const { weightView, step, sample: inspected, exhibits = [] } = inspection.inspected.value ?? {};
  useAddress(part, weightView !== undefined);
  const note = step === undefined ? '' : `after step ${thousands(step)}`;
  const about = [modelName(run), `${thousands(run?.parameters ?? 0)} parameters`, note].filter((text) => text !== '');
  const trace = inspected?.trace;
  return (
    <>
      <ViewHeader
        title="Inside the network"
        subtitle={run ? `${about.join(', ')} · ${store.status.value.title}` : '\u00a0'}
        here={`#inside/${part}`}
        content="the network"
        other={{ href: '#learn', title: 'Learn' }}
      />
      <main id="main" tabIndex={-1} class="inside">
        {inspection.failure.value && (
          <p class="error" role="status">
            The network cannot be shown here: {inspection.failure.value}.
          </p>
        )}
        {/* Parts below the weights wait for them: pictures that come later would move the parts and the focus. */}
        {weightView ? (
          <>
            <WeightsView view={weightView} note={note} trace={trace} chosen={chosen} />
            {isText(run) ? (
              <TextPart choice={typed} exhibits={exhibits} />
            ) : (
              <>
                <SamplePart store={store} choice={choice} />
                <ActivationsPart {...{ run, trace }} chosen={weightView.kind === 'pictures' ? chosen : undefined} />
                <GradientPart {...{ run, inspected, chosen }} />
              </>
            )}
          </>
        ) : (
          <p class="empty">{absenceText(store)}</p>
        )}
      </main>
    </>
  );
}

/** Explains why there are no weights to show yet. */
function absenceText({ status, dataSetup, connection }: RunStore): string {
  const { isCurrent, title, reason = `${title} …` } = status.value;
  if (!isCurrent) return reason;
  if (dataSetup.value) return 'The run waits for its data, so there is no network yet.';
  return connection.value.phase === 'live'
    ? 'The weights arrive with the next message of the run.'
    : 'The run is over and its coordinator no longer answers, so there are no weights to show.';
}

/** Scrolls to the part that the address names, and again once the parts above it have their final height. */
function useAddress(part: string, isReady: boolean): void {
  const hasMoved = useRef(false);
  useEffect(() => {
    hasMoved.current = false;
    const listening = new AbortController();
    for (const type of ['keydown', 'pointerdown', 'wheel']) {
      addEventListener(
        type,
        () => {
          hasMoved.current = true;
        },
        { signal: listening.signal, passive: true },
      );
    }
    return () => listening.abort();
  }, [part]);
  useEffect(() => {
    // Pictures get their size in the next frame.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        // After a key, a pointer or the wheel was used, the person keeps their place and their focus stays in view.
        if (!hasMoved.current) document.querySelector(`.inside-${part}-card`)?.scrollIntoView();
      });
    });
    return () => cancelAnimationFrame(frame);
  }, [part, isReady]);
}

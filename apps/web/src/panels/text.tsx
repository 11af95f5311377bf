/** A run on text: what the model writes while it learns, and a beginning of one's own that it continues. */
import { useEffect, useMemo } from 'preact/hooks';
import { Writing } from '../draw/writing.ts';
import { Card, ScrollRegion, Slider } from '../look/controls.tsx';
import { thousands } from '../look/format.ts';
import { SampleText, Texts } from '../view/texts.tsx';
import type { RunStore } from '../watch/run-store.ts';

interface TextCardsProps {
  readonly store: RunStore;
  readonly requestWeights: () => void;
}

export function TextCards({ store, requestWeights }: TextCardsProps) {
  const samples = store.samples.value;
  return (
    <>
      <Card name="text" title="What it writes" aside="the same on every screen">
        {samples.length === 0 ? (
          <p class="empty">The model writes its first text after some steps.</p>
        ) : (
          <Texts label="What the model writes" samples={samples} />
        )}
      </Card>
      {store.run.value?.vocabulary && <WriteAlong store={store} requestWeights={requestWeights} />}
    </>
  );
}

/** Longest beginning that a person may type. */
const longestBeginning = 500;

function WriteAlong({ store, requestWeights }: TextCardsProps) {
  const writing = useMemo(() => new Writing(store, requestWeights), []);
  useEffect(() => () => writing.close(), [writing]);
  const { beginning, continued, fault } = writing;
  const change = (changed: Partial<typeof beginning.value>): void => {
    writing.open();
    beginning.value = { ...beginning.value, ...changed };
  };
  const { prompt, temperature, seed } = beginning.value;
  const shown = continued.value;
  return (
    <Card name="draw" title="Write along" aside={shown ? `model after step ${thousands(shown.step)}` : ''}>
      <div class="stack write-along">
        <label>
          Your beginning
          <textarea
            rows={2}
            maxLength={longestBeginning}
            value={prompt}
            onFocus={() => writing.open()}
            onInput={({ currentTarget }) => change({ prompt: currentTarget.value })}
          />
        </label>
        <ScrollRegion class="continued-text" label="Your beginning, continued by the model">
          {shown ? (
            <SampleText sample={shown} />
          ) : (
            <p class="empty">Type a beginning, and the model of this moment continues it in this tab.</p>
          )}
        </ScrollRegion>
        <Slider
          id="writing-temperature"
          label="Temperature"
          {...{ min: 0, max: 2, step: 0.1, value: temperature }}
          text={temperature.toFixed(1)}
          onInput={(value) => change({ temperature: value })}
        />
        <button type="button" onClick={() => change({ seed: seed + 1 })}>
          Write another
        </button>
      </div>
      <p class="error" role="status">
        {fault.value}
      </p>
    </Card>
  );
}

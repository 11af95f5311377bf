/** Draw a digit, and see what the model of this very moment makes of it. */
import { useComputed, useSignal } from '@preact/signals';
import { digitSize, type Stroke } from '../draw/digit.ts';
import type { Reader } from '../draw/reader.ts';
import { probabilities } from '../draw/softmax.ts';
import { percent, whole } from '../look/format.ts';
import { GreyImage } from './gray-image.tsx';
import { Paper, paperSide } from './paper.tsx';

/** The slider moves the temperature's logarithm. */
const temperatureRange = { from: -2, to: 3, step: 0.05 };

export function Draw({ reader, classes }: { readonly reader: Reader; readonly classes: number }) {
  const strokes = useSignal<readonly Stroke[]>([]);
  const heat = useSignal(0);
  const chances = useComputed(() => {
    const { scores } = reader.reading.value;
    return scores ? probabilities(scores, 2 ** heat.value) : undefined;
  });
  const change = (next: readonly Stroke[]): void => {
    strokes.value = next;
    reader.show(next, paperSide);
  };
  const { image, step } = reader.reading.value;
  const values = chances.value;
  const best = values ? values.indexOf(Math.max(...values)) : undefined;
  const isBlank = strokes.value.length === 0;
  return (
    <section class="card draw-card" aria-labelledby="draw-title">
      <header class="card-head">
        <h2 id="draw-title">Try it</h2>
        <p class="aside">{step === undefined ? '' : `model after step ${whole(step)}`}</p>
      </header>
      <div class="draw-grid">
        <div class={`paper-frame ${isBlank ? 'blank' : ''}`}>
          <Paper strokes={strokes.value} onWake={() => reader.wake()} onChange={change} />
          <p class="paper-hint" aria-hidden="true">
            Draw a digit
          </p>
        </div>
        <ol class="chances" aria-label="Probability of each digit">
          {Array.from({ length: classes }, (_, digit) => digit).map((digit) => {
            const chance = values?.[digit] ?? 0;
            return (
              <li key={digit} class={digit === best ? 'best' : ''}>
                <span class="digit">{digit}</span>
                <svg class="chance" aria-hidden="true" focusable="false">
                  <rect class="chance-bar" width="100%" height="100%" style={{ '--chance': chance.toFixed(4) }} />
                </svg>
                <span class="chance-text">{values ? percent(chance, 0) : '–'}</span>
              </li>
            );
          })}
        </ol>
        <div class="seen">
          <GreyImage pixels={image} rows={digitSize} columns={digitSize} label="The drawing as the network sees it" />
          <p>As the network sees it</p>
        </div>
        <div class="draw-controls">
          <p class="field">
            <label for="temperature">Temperature</label>
            <output for="temperature">{(2 ** heat.value).toFixed(2)}</output>
            <input
              id="temperature"
              type="range"
              min={temperatureRange.from}
              max={temperatureRange.to}
              step={temperatureRange.step}
              value={heat.value}
              aria-valuetext={(2 ** heat.value).toFixed(2)}
              onInput={(event) => {
                heat.value = Number(event.currentTarget.value);
              }}
            />
          </p>
          <button type="button" disabled={isBlank} onClick={() => change([])}>
            Clear
          </button>
        </div>
      </div>
      <p class="sr-only" role="status">
        {isBlank || best === undefined || !values ? '' : `Looks like ${best}, ${percent(values[best]!, 0)}`}
      </p>
      {reader.fault.value && <p class="fault">{reader.fault.value}</p>}
    </section>
  );
}

/** Draws a digit and shows how the current model classifies it. */
import { type Signal, useSignal } from '@preact/signals';
import { digitSize, type Stroke } from '../draw/digit-image.ts';
import { canvasSide } from '../draw/keyboard-pen.ts';
import type { Predictor } from '../draw/predictor.ts';
import { softmax } from '../draw/softmax.ts';
import { percent, whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import type { Run } from '../watch/run-store.ts';
import { bindInput } from './bind-input.ts';
import { Card } from './card.tsx';
import { DrawingCanvas } from './drawing-canvas.tsx';
import { GrayImage } from './gray-image.tsx';

interface DrawProps {
  readonly predictor: Predictor;
  readonly run: Run | undefined;
}

export function Draw({ predictor, run }: DrawProps) {
  if (takesDrawings(run)) return <DrawCard predictor={predictor} run={run} />;
  return (
    <Card name="draw" title="Try it" aside="">
      <p class="empty">
        Drawings are for models of gray images of {digitSize} x {digitSize} in ten classes.
      </p>
    </Card>
  );
}

/** Until the run is known it is taken for one on MNIST. */
export function takesDrawings(run: Run | undefined): boolean {
  if (!run) return true;
  const { sampleType, sampleShape, targetType, outputs } = run;
  const isDigit = sampleShape.length === 3 && sampleShape.join() === [digitSize, digitSize, 1].join();
  return sampleType === 'u8' && targetType === 'classes' && outputs === 10 && isDigit;
}

function DrawCard({ predictor, run }: DrawProps) {
  const strokes = useSignal<readonly Stroke[]>([]);
  const logTemperature = useSignal('0');
  const change = (next: readonly Stroke[]): void => {
    strokes.value = next;
    predictor.show(next, canvasSide);
  };
  const { image, output } = predictor.prediction.value;
  const probabilities = output && softmax(output.logits, 2 ** Number(logTemperature.value));
  const isBlank = strokes.value.length === 0;
  return (
    <Card name="draw" title="Try it" aside={output ? `model after step ${whole(output.step)}` : ''}>
      <div class="draw-grid">
        <div class={`canvas-frame ${isBlank ? 'blank' : ''}`}>
          <DrawingCanvas strokes={strokes} onActivate={() => predictor.activate()} onChange={change} />
          <p class="canvas-hint" aria-hidden="true">
            Draw a digit
          </p>
        </div>
        <Probabilities probabilities={probabilities} run={run} />
        <div class="network-input">
          <GrayImage pixels={image} rows={digitSize} columns={digitSize} label="The drawing as the network sees it" />
          <p>As the network sees it</p>
        </div>
        <div class="draw-controls">
          <Temperature logarithm={logTemperature} />
          <button type="button" disabled={isBlank} onClick={() => change([])}>
            Clear
          </button>
          <a class="button" href="#inside/activations">
            Look inside
          </a>
        </div>
      </div>
      {predictor.error.value && <p class="error">{predictor.error.value}</p>}
    </Card>
  );
}

function Probabilities({ probabilities, run }: { probabilities: number[] | undefined; run: Run | undefined }) {
  const highest = probabilities && Math.max(...probabilities);
  const best = highest === undefined ? undefined : probabilities?.indexOf(highest);
  return (
    <>
      <ol class="probabilities" aria-label="Probability of each class">
        {Array.from({ length: run?.outputs ?? 10 }, (_, digit) => (
          <li key={digit} class={digit === best ? 'best' : ''}>
            <span class="digit">{outputName(run, digit)}</span>
            <svg class="bar" aria-hidden="true" focusable="false">
              <rect
                class="bar-fill"
                width="100%"
                height="100%"
                style={{ '--fraction': (probabilities?.[digit] ?? 0).toFixed(4) }}
              />
            </svg>
            <span class="probability">{probabilities ? percent(probabilities[digit] ?? 0, 0) : '–'}</span>
          </li>
        ))}
      </ol>
      <p class="sr-only" role="status">
        {highest === undefined ? '' : `Looks like ${outputName(run, best ?? 0)}, ${percent(highest, 0)}`}
      </p>
    </>
  );
}

/** @param logarithm of the temperature, to base 2 */
function Temperature({ logarithm }: { readonly logarithm: Signal<string> }) {
  const text = (2 ** Number(logarithm.value)).toFixed(2);
  return (
    <p class="field">
      <label for="temperature">Temperature</label>
      <output for="temperature">{text}</output>
      <input
        id="temperature"
        type="range"
        min={-2}
        max={3}
        step={0.05}
        aria-valuetext={text}
        {...bindInput(logarithm)}
      />
    </p>
  );
}

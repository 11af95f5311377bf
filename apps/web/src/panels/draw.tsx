/** Predicts a person's own sample with the current model: a digit to draw, or a table row to type. */
import { type Signal, untracked, useSignal, useSignalEffect } from '@preact/signals';
import { digitImage, digitSize, takesDrawings } from '../draw/digit-image.ts';
import { canvasSide } from '../draw/keyboard-pen.ts';
import type { Predictor } from '../draw/predictor.ts';
import { softmax } from '../draw/softmax.ts';
import { whole } from '../look/format.ts';
import type { Run } from '../watch/run-store.ts';
import { allColumns } from '../watch/table-row.ts';
import { bindInput } from './bind-input.ts';
import { Card } from './card.tsx';
import { DrawingPad, SketchButtons } from './drawing-canvas.tsx';
import { GrayImage } from './gray-image.tsx';
import { Probabilities } from './probabilities.tsx';
import { RowForm } from './row-form.tsx';

interface DrawProps {
  readonly predictor: Predictor;
  readonly run: Run | undefined;
}

/** Renders nothing unless samples are drawings, or rows whose columns are known. */
export function Draw({ predictor, run }: DrawProps) {
  if (takesDrawings(run)) return <DrawCard predictor={predictor} run={run} />;
  const columns = allColumns(run);
  if (!run || !columns) return null;
  return <RowForm key={JSON.stringify(columns)} predictor={predictor} run={run} columns={columns} />;
}

const blankImage = new Uint8Array(digitSize * digitSize);

function DrawCard({ predictor, run }: DrawProps) {
  const { sketch } = predictor;
  const logTemperature = useSignal('0');
  useSignalEffect(() => {
    const strokes = sketch.strokes.value;
    const image = strokes.length === 0 ? undefined : digitImage(strokes, canvasSide);
    untracked(() => predictor.show(image));
  });
  const { sample, output } = predictor.prediction.value;
  const image = sample instanceof Uint8Array ? sample : blankImage;
  return (
    <Card name="draw" title="Try it" aside={output ? `model after step ${whole(output.step)}` : ''}>
      <div class="draw-grid">
        <DrawingPad sketch={sketch} onActivate={() => predictor.activate()}>
          <Probabilities
            probabilities={output && softmax(output.logits, 2 ** Number(logTemperature.value))}
            run={run}
          />
          <div class="network-input">
            <GrayImage pixels={image} rows={digitSize} columns={digitSize} label="The drawing as the network sees it" />
            <p>As the network sees it</p>
          </div>
          <div class="draw-controls">
            <SketchButtons sketch={sketch} />
            <Temperature logarithm={logTemperature} />
            <a class="button" href="#inside/activations">
              Look inside
            </a>
          </div>
        </DrawingPad>
      </div>
      {predictor.error.value && <p class="error">{predictor.error.value}</p>}
    </Card>
  );
}

/** @param logarithm base-2 logarithm of the temperature */
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

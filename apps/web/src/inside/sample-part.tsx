/** The sample to follow: a drawing with its label, or a test sample. */
import type { LabeledSample } from '@lockstep/lesson';
import type { Stroke } from '../draw/digit-image.ts';
import { takesDrawings } from '../panels/draw.tsx';
import { DrawingCanvas } from '../panels/drawing-canvas.tsx';
import { SampleView } from '../panels/sample-view.tsx';
import type { RunStore } from '../watch/run-store.ts';
import { type SampleChoice, testSamples } from './chosen-sample.ts';
import { PartCard } from './part-card.tsx';

interface SamplePartProps {
  readonly store: RunStore;
  readonly choice: SampleChoice;
}

export function SamplePart({ store, choice }: SamplePartProps) {
  const run = store.run.value;
  return (
    <PartCard id="sample">
      {takesDrawings(run) && <Drawing choice={choice} />}
      <TestSamples store={store} choice={choice} />
    </PartCard>
  );
}

function Drawing({ choice: { strokes, label, picked } }: Pick<SamplePartProps, 'choice'>) {
  const isBlank = strokes.value.length === 0;
  const draw = (next: readonly Stroke[]): void => {
    picked.value = undefined;
    strokes.value = next;
  };
  return (
    <>
      <div class={`canvas-frame ${isBlank ? 'blank' : ''} ${picked.value ? 'unused' : ''}`}>
        <DrawingCanvas strokes={strokes} onActivate={() => {}} onChange={draw} />
        <p class="canvas-hint" aria-hidden="true">
          Draw a digit
        </p>
      </div>
      <div class="drawing-controls">
        <label>
          Its label
          <select
            value={label.value}
            onChange={({ currentTarget }) => {
              label.value = Number(currentTarget.value);
              picked.value = undefined;
            }}
          >
            {Array.from({ length: 10 }, (_, digit) => (
              <option key={digit} value={digit}>
                {digit}
              </option>
            ))}
          </select>
        </label>
        <button type="button" disabled={isBlank} onClick={() => draw([])}>
          Clear
        </button>
      </div>
    </>
  );
}

/** Samples shown at once. */
const most = 8;

function TestSamples({ store, choice: { picked, sample: shown } }: SamplePartProps) {
  const run = store.run.value;
  const samples = run ? testSamples(run, store.evaluation.value).slice(0, most) : [];
  return (
    <>
      <h3>{takesDrawings(run) ? 'Or a' : 'A'} top error of the last evaluation</h3>
      {run && samples.length > 0 ? (
        <ul class="test-samples">
          {samples.map(({ bytes, sample, text }, index) => (
            <li key={index}>
              <button
                type="button"
                aria-pressed={isSame(shown.value, sample)}
                onClick={() => {
                  picked.value = sample;
                }}
              >
                <SampleView run={run} sample={bytes} label="A sample of" />
                <span>{text}</span>
              </button>
            </li>
          ))}
        </ul>
      ) : (
        <p class="empty">{store.evaluation.value ? 'It has no errors.' : 'They come with the first evaluation.'}</p>
      )}
    </>
  );
}

function isSame(left: LabeledSample | undefined, right: LabeledSample): boolean {
  return left !== undefined && isEqual(left.target, right.target) && isEqual(left.values, right.values);
}

function isEqual(left: LabeledSample['target' | 'values'], right: LabeledSample['target' | 'values']): boolean {
  if (typeof left === 'number' || typeof right === 'number') return left === right;
  return left.every((value, index) => value === right[index]);
}

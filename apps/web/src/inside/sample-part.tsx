/** Lets a person choose the sample: a drawing with its label, or a test sample. */

import type { LabeledSample } from '@lockstep/lesson';
import { takesDrawings } from '../draw/digit-image.ts';
import { outputName } from '../look/format.ts';
import { DrawingPad, SketchButtons } from '../panels/drawing-canvas.tsx';
import { SampleView } from '../panels/sample-view.tsx';
import { isPicture, type Run, type RunStore } from '../watch/run-store.ts';
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
      {takesDrawings(run) && <Drawing run={run} choice={choice} />}
      <TestSamples store={store} choice={choice} />
    </PartCard>
  );
}

interface DrawingProps extends Pick<SamplePartProps, 'choice'> {
  readonly run: Run | undefined;
}

function Drawing({ run, choice: { sketch, label, picked } }: DrawingProps) {
  return (
    <DrawingPad sketch={sketch} isUnused={picked.value !== undefined}>
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
              <option key={digit} value={digit} dir="auto">
                {outputName(run, digit)}
              </option>
            ))}
          </select>
        </label>
        <SketchButtons sketch={sketch} />
      </div>
    </DrawingPad>
  );
}

/** Maximum number of samples shown at once. */
const most = 8;

function TestSamples({ store, choice: { picked, sample: shown } }: SamplePartProps) {
  const run = store.run.value;
  const samples = run ? testSamples(run, store.evaluation.value).slice(0, most) : [];
  return (
    <>
      <h3>{takesDrawings(run) ? 'Or a' : 'A'} top error of the last evaluation</h3>
      {run && samples.length > 0 ? (
        <ul class={`test-samples ${isPicture(run) ? '' : 'test-rows'}`}>
          {samples.map(({ bytes, sample, text }, index) => (
            <li key={index}>
              <button
                type="button"
                class="test-row"
                aria-pressed={isSame(shown.value, sample)}
                onClick={() => {
                  picked.value = sample;
                }}
              >
                <SampleView run={run} sample={bytes} label="A sample of" />
                <bdi>{text}</bdi>
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

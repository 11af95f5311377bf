/** The sample that a person looks at: a drawing, or one of the last evaluation's errors. */
import type { LabeledSample } from '@lockstep/lesson';
import { floatsFrom } from '@lockstep/protocol';
import { digitImage, type Stroke } from '../draw/digit-image.ts';
import { canvasSide } from '../draw/keyboard-pen.ts';
import type { Evaluation, Run } from '../watch/run-store.ts';

/** A digit to begin with, on a canvas of `canvasSide`. */
export const firstDrawing: { readonly strokes: readonly Stroke[]; readonly label: number } = {
  strokes: [
    [
      { x: 78, y: 62 },
      { x: 140, y: 56 },
      { x: 202, y: 56 },
      { x: 168, y: 129 },
      { x: 134, y: 235 },
    ],
  ],
  label: 7,
};

/** Whether the page can follow a sample: what values are standardized by it does not know. */
export function followsSamples(run: Run | undefined): boolean {
  return run === undefined || run.targetType === 'classes';
}

/** A sample of the test set: its bytes as in a task, and its values. */
export interface TestSample {
  readonly bytes: Uint8Array;
  readonly sample: LabeledSample;
}

/** Those that the last evaluation sent, its top errors. */
export function testSamples({ sampleType }: Run, evaluation: Evaluation | undefined): readonly TestSample[] {
  return (evaluation?.topErrors ?? []).map(({ sample: bytes, label }) => ({
    bytes,
    sample: { values: sampleType === 'u8' ? bytes : floatsFrom(bytes), label },
  }));
}

/** Undefined where nothing is drawn. */
export function drawnSample(strokes: readonly Stroke[], label: number): LabeledSample | undefined {
  if (strokes.length === 0) return undefined;
  return { values: digitImage(strokes, canvasSide), label };
}

/** The sample that a person has chosen, a drawing or one of the last evaluation's errors, and its texts. */
import { encodeText, tokenNames, type Vocabulary } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import type { LabeledSample, SampleTrace } from '@lockstep/lesson';
import { largestScore, restoreValues, standardizeValues } from '@lockstep/nn';
import { floatsFrom, type RunMessage, valuesFrom } from '@lockstep/protocol';
import { type ReadonlySignal, type Signal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { useMemo, useRef } from 'preact/hooks';
import { digitImage, type Stroke, takesDrawings } from '../draw/digit-image.ts';
import type { Predictor } from '../draw/predictor.ts';
import { canvasSide, Sketch } from '../draw/sketch.ts';
import { outputName, valuesText } from '../look/format.ts';
import { type EvaluationMessage, type RunStore, vocabularyOf } from '../watch/run-store.ts';

/** The initial digit, on a canvas of side `canvasSide`. */
const firstDrawing: { readonly strokes: readonly Stroke[]; readonly label: number } = {
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

/** A test sample: its bytes as in a task, its values, and its class or values in a few words. */
export interface TestSample {
  readonly bytes: Uint8Array;
  readonly sample: LabeledSample;
  readonly text: string;
}

/** Returns the top errors of the last evaluation. */
export function testSamples(run: RunMessage, evaluation: EvaluationMessage | undefined): readonly TestSample[] {
  const { topErrors = [], farthest = [] } = evaluation ?? {};
  const valuesOf = (bytes: Uint8Array) => valuesFrom(bytes, run.sampleField.dtype);
  return [
    ...topErrors.map(({ sample: bytes, label }) => ({
      bytes,
      sample: { values: valuesOf(bytes), target: label },
      text: outputName(run, label),
    })),
    ...farthest.map(({ sample: bytes, target }) => {
      const given = floatsFrom(target);
      const sample = { values: valuesOf(bytes), target: standardizeValues(given, run.standardization) };
      return { bytes, sample, text: valuesText(given, mostValues, targetDigits) };
    }),
  ];
}

/** Maximum number of values shown. */
const mostValues = 3;
/** As in the table of the prediction against the target. */
const targetDigits = 6;

export interface SampleChoice {
  readonly sketch: Sketch;
  /** The drawing's label. */
  readonly label: Signal<number>;
  /** A test sample chosen instead of the drawing. */
  readonly picked: Signal<LabeledSample | undefined>;
  /** The picked sample, else the drawing or, unless samples are drawings, the first test sample if any. */
  readonly sample: ReadonlySignal<LabeledSample | undefined>;
}

/** Begins with the drawing of the run's page, labeled with the network's prediction, or with a digit of its own. */
export function useChosenSample(store: RunStore, predictor: Predictor): SampleChoice {
  const drawn = predictor.sketch.strokes.peek();
  const { output } = predictor.prediction.peek();
  const first = drawn.length > 0 && output ? { strokes: drawn, label: largestScore(output.logits) } : firstDrawing;
  const sketch = useMemo(() => new Sketch(first.strokes), []);
  const label = useSignal(first.label);
  const picked = useSignal<LabeledSample>();
  const sample = useComputed((): LabeledSample | undefined => {
    const run = store.run.value;
    if (picked.value) return picked.value;
    if (takesDrawings(run)) {
      const { value: strokes } = sketch.strokes;
      return strokes.length > 0 ? { values: digitImage(strokes, canvasSide), target: label.value } : undefined;
    }
    return run && testSamples(run, store.evaluation.value)[0]?.sample;
  });
  // Drawing deselects the test sample.
  const seen = useRef(first.strokes);
  useSignalEffect(() => {
    if (sketch.strokes.value === seen.current) return;
    seen.current = sketch.strokes.value;
    picked.value = undefined;
  });
  return { sketch, label, picked, sample };
}

/** Signs for tokens that would leave no mark. */
const signs: Readonly<Record<string, string>> = { ' ': '␣', '\n': '↵', '\t': '⇥' };

/** The text that a person types for a model of text, and its tokens. Before that it is the newest sample, or an example. */
export function useTypedText(store: RunStore) {
  const typed = useSignal<string>();
  const shown = useComputed(() => {
    const sample = store.samples.value.at(-1)?.text ?? exampleFor(vocabularyOf(store.run.value));
    return typed.value ?? sample.slice(0, firstCharacters);
  });
  const encoded = useComputed(() => {
    const vocabulary = vocabularyOf(store.run.value);
    if (!vocabulary) return undefined;
    try {
      const tokens = [...encodeText(vocabulary, shown.value)];
      const names = tokenNames(vocabulary).map((name) => signs[name] ?? name);
      return { text: { tokens: tokens.length > 0 ? tokens : [0], names } };
    } catch (error) {
      return { fault: errorMessage(error) };
    }
  });
  return { typed, shown, encoded, text: useComputed(() => encoded.value?.text) };
}

/** Number of characters of a sample that are shown first. */
const firstCharacters = 16;

const example = 'learning';

/** Returns a text of characters that the model knows. */
function exampleFor(vocabulary: Vocabulary | undefined): string {
  if (vocabulary?.kind !== 'characters') return example;
  const known = [...example].filter((character) => vocabulary.tokens.includes(character));
  return known.join('') || vocabulary.tokens.filter((token) => token.trim() !== '').join('');
}

/** Returns the name of a class, or the values in their unit. */
export function targetText(run: RunMessage | undefined, target: LabeledSample['target']): string {
  if (typeof target === 'number') return outputName(run, target);
  return valuesText(restoreValues(target, run?.standardization), mostValues, targetDigits);
}

/** Returns the network's prediction in a few words. */
export function answerText(run: RunMessage | undefined, { probabilities, layers }: SampleTrace): string {
  if (probabilities) return outputName(run, probabilities.indexOf(Math.max(...probabilities)));
  return valuesText(restoreValues(layers.at(-1)!.values, run?.standardization), mostValues, targetDigits);
}

/** A drawing, a picture, a text or a row of the run's table to try, with the current model's prediction. */

import { encodeText, numbersLike, sizeOfField, type Vocabulary } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import { bytesOf, type RunMessage } from '@lockstep/protocol';
import { untracked, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Camera } from '../draw/camera.tsx';
import { digitImage, digitSize, takesDrawings } from '../draw/digit-image.ts';
import { type Predictor, softmaxAt } from '../draw/predictor.ts';
import { canvasSide } from '../draw/sketch.ts';
import { bindInput, Card, Choice, Figure, Slider } from '../look/controls.tsx';
import { outputName, percent, significant, thousands } from '../look/format.ts';
import { BarChart, type ShownBar } from '../view/bars.tsx';
import { ink, Raster } from '../view/raster.tsx';
import { isPicture, isText, vocabularyOf } from '../watch/run-store.ts';
import { allColumns, sampleOfRow, type TableColumn } from '../watch/table-row.ts';
import { DrawingPad, SketchButtons } from './drawing-canvas.tsx';
import { SampleView } from './sample-view.tsx';

interface DrawProps {
  readonly predictor: Predictor;
  readonly run: RunMessage | undefined;
}

/** Renders nothing unless samples are drawings, pictures, texts, or rows whose columns are known. */
export function Draw({ predictor, run }: DrawProps) {
  const { output } = predictor.prediction.value;
  const form = formOf(predictor, run);
  return (
    form && (
      <Card name="draw" title="Try it" aside={output ? `model after step ${thousands(output.step)}` : ''}>
        {form}
      </Card>
    )
  );
}

function formOf(predictor: Predictor, run: RunMessage | undefined): ComponentChildren {
  if (takesDrawings(run)) return <DrawingForm predictor={predictor} run={run} />;
  if (!run) return null;
  if (isPicture(run) && run.sampleField.role === 'scaled') return <PictureForm predictor={predictor} run={run} />;
  const vocabulary = vocabularyOf(run);
  if (vocabulary && !isText(run)) return <TextForm {...{ predictor, run, vocabulary }} />;
  const columns = allColumns(run);
  return columns && <RowForm key={JSON.stringify(columns)} {...{ predictor, run, columns }} />;
}

const blankImage = new Uint8Array(digitSize * digitSize);

function DrawingForm({ predictor, run }: DrawProps) {
  const { sketch } = predictor;
  /** Base-2 logarithm. */
  const temperature = useSignal(0);
  useSignalEffect(() => {
    const strokes = sketch.strokes.value;
    const image = strokes.length === 0 ? undefined : digitImage(strokes, canvasSide);
    untracked(() => predictor.show(image));
  });
  const { sample, output } = predictor.prediction.value;
  const image = sample instanceof Uint8Array ? sample : blankImage;
  return (
    <>
      <div class="draw-grid">
        <DrawingPad sketch={sketch} onActivate={() => predictor.activate()}>
          <Probabilities probabilities={output && softmaxAt(output.logits, 2 ** temperature.value)} run={run} />
          <div class="stack network-input">
            <Raster
              values={image}
              rows={digitSize}
              columns={digitSize}
              palette={ink}
              label="The drawing as the network sees it"
            />
            <p>As the network sees it</p>
          </div>
          <div class="draw-controls">
            <SketchButtons sketch={sketch} />
            <Slider
              id="temperature"
              label="Temperature"
              {...{ min: -2, max: 3, step: 0.05, value: temperature.value }}
              text={(2 ** temperature.value).toFixed(2)}
              onInput={(logarithm) => (temperature.value = logarithm)}
            />
            <a class="button" href="#inside/activations">
              Look inside
            </a>
          </div>
        </DrawingPad>
      </div>
      {predictor.error.value && <p class="error">{predictor.error.value}</p>}
    </>
  );
}

/** Time between two predictions of the webcam's picture. */
const webcamMs = 150;

interface FormProps {
  readonly predictor: Predictor;
  readonly run: RunMessage;
}

/** A picture from a file, from the clipboard, dropped, or from the webcam. */
function PictureForm({ predictor, run }: FormProps) {
  const [height = 1, width = 1, channels = 1] = run.sampleField.shape;
  const form = { height, width, channels: channels === 3 ? 3 : 1, fit: run.fit ?? 'cover' } as const;
  const video = useRef<HTMLVideoElement>(null);
  const isCameraOn = useSignal(false);
  const fault = useSignal<string>();
  const { sample } = predictor.prediction.value;
  const show = async (pixels: () => Promise<Uint8Array>): Promise<void> => {
    predictor.activate();
    try {
      predictor.show(await pixels());
      fault.value = undefined;
    } catch (error) {
      fault.value = `This picture cannot be read: ${errorMessage(error)}.`;
    }
  };
  const take = (files: FileList | undefined): void => {
    const file = files?.[0];
    if (!file) return;
    void show(async () => {
      const { openPageDecoder } = await import('../draw/inference.ts');
      return openPageDecoder().decode(new Uint8Array(await file.arrayBuffer()), form);
    });
  };
  useEffect(() => {
    const paste = ({ clipboardData }: ClipboardEvent): void => take(clipboardData?.files);
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  }, [run]);
  useSignalEffect(() => {
    if (!isCameraOn.value) return undefined;
    const timer = setInterval(() => {
      void show(async () => {
        const { openPageDecoder } = await import('../draw/inference.ts');
        return openPageDecoder().pixelsOf(await createImageBitmap(video.current!), form);
      });
    }, webcamMs);
    return () => clearInterval(timer);
  });
  return (
    <>
      {/* Each way to drop or paste has an equivalent button. */}
      <section
        class="picture-grid"
        aria-label="Your own picture"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          take(event.dataTransfer?.files);
        }}
      >
        <div class="stack">
          <Camera video={video} onChange={(isOn) => (isCameraOn.value = isOn)} />
          <label>
            Or choose, drop or paste a picture
            <input
              type="file"
              accept="image/png,image/jpeg,image/webp"
              onChange={({ currentTarget }) => take(currentTarget.files ?? undefined)}
            />
          </label>
          {sample instanceof Uint8Array && (
            <div class="stack network-input">
              <SampleView run={run} sample={sample} label="The picture as the network sees it" />
              <p>As the network sees it</p>
            </div>
          )}
        </div>
        <Outcome run={run} predictor={predictor} />
      </section>
      <p class="error" role="status">
        {fault.value ?? predictor.error.value}
      </p>
    </>
  );
}

/** Longest text that a person may type. */
const longestText = 2_000;

interface TextFormProps extends FormProps {
  readonly vocabulary: Vocabulary;
}

function TextForm({ predictor, run, vocabulary }: TextFormProps) {
  const text = useSignal('');
  const sample = useComputed(() => {
    const tokens = encodeText(vocabulary, text.value);
    const filled = numbersLike(tokens, sizeOfField(run.sampleField));
    filled.set(tokens.subarray(0, filled.length));
    return filled;
  });
  useEffect(() => predictor.show(text.value.trim() === '' ? undefined : sample.value), [sample.value]);
  return (
    <>
      <div class="row-grid">
        <div class="stack write-along">
          <label>
            Your text
            <textarea rows={4} maxLength={longestText} onFocus={() => predictor.activate()} {...bindInput(text)} />
          </label>
          <SampleView run={run} sample={bytesOf(sample.value)} label="The text as the model reads it" />
        </div>
        <Outcome run={run} predictor={predictor} />
      </div>
      <p class="error" role="status">
        {predictor.error.value}
      </p>
    </>
  );
}

/** The prediction: the probabilities of classes, or values. */
function Outcome({ run, predictor }: FormProps) {
  const { output } = predictor.prediction.value;
  // The page's first load leaves out the library of models.
  const { mean, deviation } = run.standardization ?? { mean: 0, deviation: 1 };
  return run.targetField.role === 'index' ? (
    <Probabilities run={run} probabilities={output && softmaxAt(output.logits, 1)} />
  ) : (
    <Values run={run} values={output?.logits.map((value) => value * deviation + mean)} />
  );
}

interface RowFormProps extends FormProps {
  readonly columns: readonly TableColumn[];
}

function RowForm({ predictor, run, columns }: RowFormProps) {
  const texts = useSignal(columns.map(firstText));
  const row = texts.value.map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
  const sample = sampleOfRow(columns, row);
  const wrong = columns.find((column, index) => sampleOfRow([column], [row[index]!]) === undefined);
  useEffect(() => predictor.show(sample), [texts.value]);
  const activate = (): void => predictor.activate();
  return (
    <>
      <div class="row-grid" onFocusIn={activate} onPointerEnter={activate}>
        <div class="row-fields">
          {columns.map((column, index) => (
            <Field
              key={index}
              column={column}
              text={texts.value[index]!}
              isWrong={column === wrong}
              onChange={(text) => (texts.value = texts.value.with(index, text))}
            />
          ))}
        </div>
        <Outcome run={run} predictor={predictor} />
      </div>
      <p class="error" role="status">
        {wrong && `${wrong.name}: expected a number.`}
        {predictor.error.value}
      </p>
    </>
  );
}

const shownDigits = 3;

/** Returns the initial text of a field: the mean of a number column to three digits, or the first category. */
function firstText(column: TableColumn): string {
  return column.type === 'number' ? `${Number(column.mean.toPrecision(shownDigits))}` : '0';
}

interface FieldProps {
  readonly column: TableColumn;
  readonly text: string;
  readonly isWrong: boolean;
  readonly onChange: (text: string) => void;
}

function Field({ column, text, isWrong, onChange }: FieldProps) {
  const name = <bdi>{column.name}</bdi>;
  if (column.type === 'number') {
    return (
      <label>
        {name}
        <input
          type="number"
          step="any"
          value={text}
          placeholder={column.missing === undefined ? '' : `missing: ${significant(column.missing, shownDigits)}`}
          aria-invalid={isWrong}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      </label>
    );
  }
  const options = column.categories.map((category, index): [string, string] => [`${index}`, category]);
  const { missing } = column;
  if (missing !== undefined) options.push(['', `missing: ${column.categories[missing]!}`]);
  return <Choice label={name} value={text} options={options} onChoose={onChange} />;
}

const mostValues = 10;
const valueDigits = 6;

function Values({ run, values }: { readonly run: RunMessage; readonly values: Float32Array | undefined }) {
  return (
    <dl class="row-values" aria-label="The prediction">
      {Array.from({ length: Math.min(mostValues, run.outputs) }, (_, index) => (
        <Figure
          key={index}
          label={<bdi>{outputName(run, index)}</bdi>}
          value={values && significant(values[index]!, valueDigits)}
        />
      ))}
    </dl>
  );
}

interface ProbabilitiesProps {
  readonly run: RunMessage | undefined;
  /** One probability per class; undefined until the model has predicted a sample. */
  readonly probabilities: readonly number[] | undefined;
}

const mostBars = 10;

/** The probability of each class. Of many classes, only the most likely ones are shown. */
function Probabilities({ run, probabilities }: ProbabilitiesProps) {
  const classes = run?.outputs ?? mostBars;
  const of = (index: number): number => probabilities?.[index] ?? 0;
  const all = Array.from({ length: classes }, (_, index) => index);
  const likeliest = all.toSorted((left, right) => of(right) - of(left));
  const shown = classes > mostBars ? likeliest.slice(0, mostBars) : all;
  const best = probabilities && likeliest[0]!;
  const others = classes - shown.length;
  const otherSum = likeliest.slice(mostBars).reduce((sum, index) => sum + of(index), 0);
  const bar = (label: string, value: number, isBest: boolean): ShownBar => ({
    ...{ label, isBest, value: probabilities && value },
    text: probabilities ? percent(value) : '–',
  });
  const bars = shown.map((index) => bar(outputName(run, index), of(index), index === best));
  if (others > 0) bars.push(bar(`${thousands(others)} others`, otherSum, false));
  return (
    <>
      <BarChart label="Probability of each class" bars={bars} areProbabilities />
      <p class="sr-only" role="status">
        {best === undefined ? '' : `Looks like ${outputName(run, best)}, ${percent(of(best))}`}
      </p>
    </>
  );
}

/** The parts of the live network's view: weights, one sample, its activations, its gradient. */

import {
  chapters,
  type Exhibit,
  gradientTable,
  type Histogram,
  type InsidePart,
  insideParts,
  type LabeledSample,
  type LayerTrace,
  outputBars,
  predictionTable,
  probabilityBars,
  type SampleTrace,
  type WeightPictures,
  type WeightView,
} from '@lockstep/lesson';
import type { RunMessage } from '@lockstep/protocol';
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { takesDrawings } from '../draw/digit-image.ts';
import { ExhibitCard } from '../learn/exhibits.tsx';
import type { InspectedSample } from '../learn/messages.ts';
import { Links, Paragraph } from '../learn/paragraph.tsx';
import { Card, Choice, Figure, Slider } from '../look/controls.tsx';
import { lossText, outputName, percent, significant, thousands } from '../look/format.ts';
import { DrawingPad, SketchButtons } from '../panels/drawing-canvas.tsx';
import { SampleView } from '../panels/sample-view.tsx';
import { Tiles } from '../view/raster.tsx';
import { isPicture, type RunStore } from '../watch/run-store.ts';
import { answerText, type SampleChoice, targetText, testSamples, type useTypedText } from './sample.ts';

interface PartCardProps {
  readonly id: InsidePart['id'];
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** The frame of a part: its title, its text with terms, and links to the chapters that explain it. */
function PartCard({ id, aside, children }: PartCardProps) {
  const { title, text, chapters: explained } = insideParts.find((part) => part.id === id)!;
  const links = chapters
    .filter((chapter) => explained.includes(chapter.id))
    .map((chapter) => ({ href: `#learn/${chapter.id}`, title: chapter.title }));
  return (
    <Card name={`inside-${id}`} title={title} aside={aside}>
      <Paragraph text={text} name={id} />
      {children}
      <Links text="In the lesson:" links={links} />
    </Card>
  );
}

/** Placeholder for parts that need a sample. */
const noSample = <p class="empty">Draw or choose a sample first.</p>;

interface WeightsPartProps {
  readonly view: WeightView;
  readonly note: string;
  readonly trace: SampleTrace | undefined;
  /** The selected neuron or filter of the first layer. */
  readonly chosen: Signal<number>;
}

/** More histograms than these would push everything else off the screen, so they stay folded at first. */
const mostOpen = 8;

/** The weights of the first layer as pictures, or histograms of all layers' weights. */
export function WeightsView({ view, note, trace, chosen }: WeightsPartProps) {
  // The histograms that were shown first stay until the tensors change.
  const first = useRef({ histograms: view.histograms, note });
  if (shapesOf(view.histograms) !== shapesOf(first.current.histograms)) {
    first.current = { histograms: view.histograms, note };
  }
  const arePictures = view.kind === 'pictures';
  return (
    <PartCard id="weights" aside={note}>
      <p>{view.text}</p>
      {arePictures && <Pictures view={view} trace={trace} chosen={chosen} />}
      <details open={!arePictures && view.histograms.length <= mostOpen}>
        <summary>All layers as histograms</summary>
        <div class="histograms">
          {view.histograms.map((histogram, index) => (
            <HistogramView key={histogram.name} histogram={histogram} before={first.current.histograms[index]} />
          ))}
        </div>
        <p class="aside">The line is from when this view was opened, {first.current.note}.</p>
      </details>
    </PartCard>
  );
}

function shapesOf(histograms: readonly Histogram[]): string {
  return JSON.stringify(histograms.map(({ name, shape }) => [name, shape]));
}

type PicturesProps = Pick<WeightsPartProps, 'trace' | 'chosen'> & { readonly view: WeightPictures };

function Pictures({ view, trace, chosen }: PicturesProps) {
  const { of, count, total, rows, columns, channels, values, scale } = view;
  const some =
    count < total ? `The first ${thousands(count)} of ${thousands(total)} ${of}` : `The ${thousands(total)} ${of}`;
  const mean = channels > 1 ? `, each pixel the mean over ${channels} channels` : '';
  const caption = `${some} of the first layer, ${rows} x ${columns} weights each${mean}`;
  const tiles = { ...{ values, count, rows, columns, scale }, label: caption, chosen };
  return (
    <div class="weight-pictures">
      <div>
        <Tiles {...tiles} height={720} largestCell={24} gap={3} />
        <p class="aside">{caption}.</p>
      </div>
      <ChosenPicture view={view} trace={trace} chosen={chosen} />
    </div>
  );
}

/** The selected neuron or filter, enlarged. */
function ChosenPicture({ view, trace, chosen }: PicturesProps) {
  const { of, count, rows, columns, values, scale } = view;
  const number = Math.min(chosen.value, count - 1);
  const own = values.subarray(number * rows * columns, (number + 1) * rows * columns);
  const title = of === 'neurons' ? 'Neuron' : 'Filter';
  const label = `${title} ${number}: weights from ${significant(Math.min(...own))} to ${significant(Math.max(...own))}`;
  const outputs = trace && unitLayers(trace).map(({ type, values: all }) => `${type} ${significant(all[number]!)}`);
  return (
    <div class="one-picture">
      <Tiles {...{ rows, columns, label, scale }} values={own} count={1} height={208} largestCell={40} gap={0} legend />
      <Slider
        id="picture"
        label={title}
        {...{ min: 0, max: count - 1, value: number }}
        text={`${number}`}
        onInput={(picture) => (chosen.value = picture)}
      />
      {outputs && of === 'neurons' && <p class="aside">For the sample below it gives: {outputs.join(', ')}.</p>}
    </div>
  );
}

interface HistogramViewProps {
  readonly histogram: Histogram;
  /** First histogram of the same tensor, drawn as a line. */
  readonly before: Histogram | undefined;
}

/** Size of a histogram, in its own units. */
const [width, height] = [100, 40];

function HistogramView({ histogram, before }: HistogramViewProps) {
  const { name, shape, counts, limit } = histogram;
  const most = Math.max(...densities(histogram), ...(before ? densities(before) : []));
  const text = significant(Number(limit.toPrecision(2)));
  const bin = width / counts.length;
  return (
    <figure class="histogram">
      <figcaption>
        {name} <small>[{shape.join(', ')}]</small>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram of ${name}, from -${text} to ${text}`}
      >
        {densities(histogram).map((density, index) => {
          const tall = most === 0 ? 0 : (height * density) / most;
          return <rect key={index} x={index * bin} y={height - tall} width={bin * 0.9} height={tall} />;
        })}
        {before && most > 0 && limit > 0 && <polyline class="before" points={outline(before, limit, most)} />}
      </svg>
      <p class="scale-ends" aria-hidden="true">
        <span>−{text}</span>
        <span>0</span>
        <span>{text}</span>
      </p>
    </figure>
  );
}

/** Returns values per unit of the axis, because bin widths differ between histograms with different limits. */
function densities({ counts, limit }: Histogram): number[] {
  return counts.map((count) => (limit === 0 ? count : count / limit));
}

/** Returns a line through the middles of the bins, on an axis that ends at `limit`. */
function outline(histogram: Histogram, limit: number, most: number): string {
  const share = histogram.limit / limit;
  const points = densities(histogram).map((density, index, { length }) => {
    const place = ((index + 0.5) / length) * 2 - 1;
    return `${(width * (1 + place * share)) / 2},${height - (height * density) / most}`;
  });
  return points.join(' ');
}

interface TextPartProps {
  readonly choice: ReturnType<typeof useTypedText>;
  readonly exhibits: readonly Exhibit[];
}

/** A text, and what the model computes for it. */
export function TextPart({ choice: { typed, shown, encoded }, exhibits }: TextPartProps) {
  if (!encoded.value) return <p class="empty">The vocabulary of the run is too large for this page.</p>;
  return (
    <PartCard id="text">
      <label>
        Text
        <input
          type="text"
          maxLength={200}
          value={shown.value}
          onInput={({ currentTarget }) => {
            typed.value = currentTarget.value;
          }}
        />
      </label>
      <p class="error" role="status">
        {encoded.value.fault}
      </p>
      {exhibits.map((exhibit, index) => (
        <ExhibitCard key={index} exhibit={exhibit} />
      ))}
    </PartCard>
  );
}

interface SamplePartProps {
  readonly store: RunStore;
  readonly choice: SampleChoice;
}

/** Lets a person choose the sample: a drawing with its label, or a test sample. */
export function SamplePart(props: SamplePartProps) {
  return (
    <PartCard id="sample">
      {takesDrawings(props.store.run.value) && <Drawing {...props} />}
      <TestSamples {...props} />
    </PartCard>
  );
}

function Drawing({ store, choice: { sketch, label, picked } }: SamplePartProps) {
  return (
    <DrawingPad sketch={sketch} isUnused={picked.value !== undefined}>
      <div class="row drawing-controls">
        <Choice
          label="Label of the drawing"
          value={`${label.value}`}
          options={Array.from({ length: 10 }, (_, digit) => [`${digit}`, outputName(store.run.value, digit)])}
          onChoose={(digit) => {
            label.value = Number(digit);
            picked.value = undefined;
          }}
        />
        <SketchButtons sketch={sketch} />
      </div>
    </DrawingPad>
  );
}

const mostSamples = 8;

function TestSamples({ store, choice: { picked, sample: shown } }: SamplePartProps) {
  const run = store.run.value;
  const samples = run ? testSamples(run, store.evaluation.value).slice(0, mostSamples) : [];
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
                onClick={() => (picked.value = sample)}
              >
                <SampleView run={run} sample={bytes} label="A sample of" />
                <bdi>{text}</bdi>
              </button>
            </li>
          ))}
        </ul>
      ) : (
        <p class="empty">
          {store.evaluation.value ? 'The last evaluation had no errors.' : 'Errors appear after the first evaluation.'}
        </p>
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

interface ActivationsPartProps {
  readonly run: RunMessage | undefined;
  readonly trace: SampleTrace | undefined;
  /** The selected neuron or filter of the first layer; absent if its weights are not shown as pictures. */
  readonly chosen: Signal<number> | undefined;
}

/** Layers that do not change values. */
const plain: ReadonlySet<string> = new Set(['flatten', 'dropout']);
const mostBars = 20;

/** The activations of each layer for the chosen sample, from the input to the softmax. */
export function ActivationsPart({ run, trace, chosen }: ActivationsPartProps) {
  const given = run?.targetField.role === 'value' ? 'target' : 'label';
  return (
    <PartCard id="activations" aside={trace ? `${given} ${targetText(run, trace.target)}` : ''}>
      {trace ? <Activations {...{ run, trace, chosen }} /> : noSample}
    </PartCard>
  );
}

function Activations({ run, trace, chosen }: ActivationsPartProps & { readonly trace: SampleTrace }) {
  const names = Array.from({ length: run?.outputs ?? 0 }, (_, index) => outputName(run, index));
  const { input, layers, probabilities } = trace;
  const units = unitLayers(trace);
  const last = layers.at(-1)!;
  const hasFew = last.values.length <= mostBars;
  const sum = probabilities?.reduce((total, value) => total + value, 0);
  return (
    <>
      {/* Tokens are numbers without a scale; the chosen sample above shows their words. */}
      {run?.sampleField.role !== 'index' && (
        <LayerView title="The sample" values={input} shape={run?.sampleField.shape ?? []} />
      )}
      {layers.slice(0, -1).map((layer, index) => {
        if (plain.has(layer.type)) return null;
        const title = `${layer.type}, ${layer.shape.map(thousands).join(' x ')}`;
        return <LayerView key={index} title={title} {...layer} chosen={units.includes(layer) ? chosen : undefined} />;
      })}
      {probabilities ? (
        <div class={hasFew ? 'outputs' : 'layer'}>
          {hasFew ? (
            <ExhibitCard exhibit={outputBars(`Logits, the output of ${last.type}`, last.values, names)} />
          ) : (
            <LayerView title="Logits" values={last.values} shape={last.shape} />
          )}
          <ExhibitCard exhibit={probabilityBars(probabilities, names)} />
        </div>
      ) : (
        <ExhibitCard exhibit={predictionTable(trace, names, run?.standardization)} />
      )}
      <p class="aside" role="status">
        The network predicts <bdi>{answerText(run, trace)}</bdi>
        {probabilities &&
          `, with a probability of ${percent(Math.max(...probabilities))}. The probabilities add up to ${sum!.toFixed(6)}`}
        .
      </p>
    </>
  );
}

/** Returns the first layer with weights, and those before the next one that have the same number of units. */
function unitLayers({ layers }: SampleTrace): readonly LayerTrace[] {
  const first = layers.findIndex(({ parameters }) => parameters.length > 0);
  if (first === -1) return [];
  const next = layers.findIndex(({ parameters }, index) => index > first && parameters.length > 0);
  const own = layers.slice(first, next === -1 ? undefined : next);
  return own.filter(({ shape }) => shape.length === own[0]!.shape.length && shape.at(-1) === own[0]!.shape.at(-1));
}

interface LayerViewProps {
  readonly title: string;
  readonly values: Float32Array;
  /** [values], or [height, width, channels]. */
  readonly shape: readonly number[];
  /** The selected neuron or filter; absent unless the layer has one value or picture for each of the first layer's. */
  readonly chosen?: Signal<number> | undefined;
}

function LayerView({ title, values, shape, chosen }: LayerViewProps) {
  const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
  const zeros = `${thousands(values.filter((value) => value === 0).length)} of ${thousands(values.length)} are 0`;
  const isPicture = shape.length === 3;
  const [rows, columns, count] = isPicture ? (shape as [number, number, number]) : [1, 1, values.length];
  const room = isPicture ? { height: 240, largestCell: 4, gap: 4 } : { height: 120, largestCell: 18, gap: 2 };
  return (
    <section class="layer">
      <h3>{title}</h3>
      <Tiles
        {...{ rows, columns, count, scale, chosen }}
        {...room}
        values={isPicture ? channelsFirst(values, count) : values}
        label={`${title}: ${zeros}, the largest is ${significant(scale)}`}
        legend={zeros}
      />
    </section>
  );
}

/** [pixels, channels] -> [channels, pixels] */
function channelsFirst(values: Float32Array, channels: number): Float32Array {
  const pixels = values.length / channels;
  return values.map((_, index) => values[(index % pixels) * channels + Math.floor(index / pixels)]!);
}

interface GradientPartProps {
  readonly run: RunMessage | undefined;
  readonly inspected: InspectedSample | undefined;
  /** The selected neuron or filter of the first layer. */
  readonly chosen: Signal<number>;
}

/** The gradient of the sample's loss, layer by layer. */
export function GradientPart({ run, inspected, chosen }: GradientPartProps) {
  if (!inspected) return <PartCard id="gradient">{noSample}</PartCard>;
  const { trace, gradientView } = inspected;
  return (
    <PartCard id="gradient">
      <dl class="lesson-figures">
        <Figure label={trace.probabilities ? 'label' : 'target'} value={targetText(run, trace.target)} />
        <Figure label="prediction" value={answerText(run, trace)} />
        <Figure label="loss" value={lossText(trace.loss)} />
      </dl>
      <ExhibitCard exhibit={gradientTable(trace)} />
      {gradientView.kind === 'pictures' && (
        <div class="layer">
          <h3>For the weights of the first layer</h3>
          <Tiles
            {...gradientView}
            chosen={chosen}
            label="The gradient for the weights of the first layer, in the order of the weights above"
            height={300}
            largestCell={12}
            gap={2}
            legend="0"
          />
        </div>
      )}
    </PartCard>
  );
}

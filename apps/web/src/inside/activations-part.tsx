/** The activations of each layer for the chosen sample, from the input to the softmax. */
import { type LayerTrace, outputBars, predictionTable, probabilityBars, type SampleTrace } from '@lockstep/lesson';
import type { Signal } from '@preact/signals';
import { ExhibitView } from '../learn/exhibits/exhibit.tsx';
import { percent, significant, whole } from '../look/format.ts';
import type { Run } from '../watch/run-store.ts';
import { answerText } from './answer-text.ts';
import { noSample, PartCard } from './part-card.tsx';
import { ScaleLegend } from './scale-legend.tsx';
import { Tiles } from './tiles.tsx';
import { unitLayers } from './unit-layers.ts';

interface ActivationsPartProps {
  readonly run: Run | undefined;
  readonly trace: SampleTrace | undefined;
  readonly names: readonly string[];
  readonly note: string;
  /** The selected neuron or filter of the first layer; absent if its weights are not shown as pictures. */
  readonly chosen: Signal<number> | undefined;
}

/** Layers that do not change values. */
const plain: ReadonlySet<string> = new Set(['flatten', 'dropout']);
/** Maximum number of outputs shown as bars. */
const mostBars = 20;

export function ActivationsPart({ run, trace, names, note, chosen }: ActivationsPartProps) {
  if (!trace) {
    return (
      <PartCard id="activations" aside={note}>
        {noSample}
      </PartCard>
    );
  }
  const units = unitLayers(trace);
  return (
    <PartCard id="activations" aside={note}>
      <LayerView title="The sample" values={trace.input} shape={run?.sampleShape ?? []} />
      {trace.layers
        .slice(0, -1)
        .map((layer, index) =>
          plain.has(layer.type) ? null : (
            <LayerView
              key={index}
              title={titleOf(layer)}
              {...layer}
              chosen={units.includes(layer) ? chosen : undefined}
            />
          ),
        )}
      {trace.probabilities ? (
        <Outputs trace={trace} probabilities={trace.probabilities} names={names} />
      ) : (
        <ExhibitView exhibit={predictionTable(trace, names, run?.standardization)} />
      )}
      <p class="aside" role="status">
        The network says <bdi>{answerText(run, trace)}</bdi>
        {certaintyText(trace.probabilities)}.
      </p>
    </PartCard>
  );
}

interface OutputsProps extends Pick<ActivationsPartProps, 'names'> {
  readonly trace: SampleTrace;
  readonly probabilities: readonly number[];
}

function Outputs({ trace: { layers }, probabilities, names }: OutputsProps) {
  const { type, values, shape } = layers.at(-1)!;
  if (values.length > mostBars) {
    return (
      <>
        <LayerView title="Logits" values={values} shape={shape} />
        <ExhibitView exhibit={probabilityBars(probabilities, names)} />
      </>
    );
  }
  return (
    <div class="outputs">
      <ExhibitView exhibit={outputBars(`Logits, the output of ${type}`, values, names)} />
      <ExhibitView exhibit={probabilityBars(probabilities, names)} />
    </div>
  );
}

function titleOf({ type, shape }: LayerTrace): string {
  return `${type}, ${shape.map(whole).join(' x ')}`;
}

function certaintyText(probabilities: readonly number[] | undefined): string {
  if (!probabilities) return '';
  const sum = probabilities.reduce((total, value) => total + value, 0);
  return `, with ${percent(Math.max(...probabilities))}. The probabilities add up to ${sum.toFixed(6)}`;
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
  const zeros = values.filter((value) => value === 0).length;
  const isPicture = shape.length === 3;
  const [rows, columns, count] = isPicture ? (shape as [number, number, number]) : [1, 1, values.length];
  const text = `${title}: ${whole(zeros)} of ${whole(values.length)} are 0, the largest is ${significant(scale)}`;
  return (
    <section class="layer">
      <h3>{title}</h3>
      <Tiles
        {...{ rows, columns, count, scale }}
        values={isPicture ? channelsFirst(values, count) : values}
        label={text}
        height={isPicture ? 240 : 120}
        largestCell={isPicture ? 4 : 18}
        gap={isPicture ? 4 : 2}
        chosen={chosen?.value}
        onChoose={
          chosen &&
          ((picture) => {
            chosen.value = picture;
          })
        }
      />
      <ScaleLegend scale={scale} zero={`${whole(zeros)} of ${whole(values.length)} are 0`} />
    </section>
  );
}

/** [pixels, channels] -> [channels, pixels] */
function channelsFirst(values: Float32Array, channels: number): Float32Array {
  const pixels = values.length / channels;
  return values.map((_, index) => values[(index % pixels) * channels + Math.floor(index / pixels)]!);
}

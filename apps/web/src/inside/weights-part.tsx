/** The weights of the first layer as pictures, or histograms of all layers' weights. */
import type { Histogram, SampleTrace, WeightPictures, WeightView } from '@lockstep/lesson';
import type { Signal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { significant, whole } from '../look/format.ts';
import { HistogramView } from './histogram-view.tsx';
import { PartCard } from './part-card.tsx';
import { ScaleLegend } from './scale-legend.tsx';
import { Tiles } from './tiles.tsx';
import { unitLayers } from './unit-layers.ts';

interface WeightsPartProps {
  readonly view: WeightView;
  readonly note: string;
  readonly trace: SampleTrace | undefined;
  /** The selected neuron or filter of the first layer. */
  readonly chosen: Signal<number>;
}

export function WeightsPart({ view, note, trace, chosen }: WeightsPartProps) {
  const first = useFirst({ histograms: view.histograms, note });
  return (
    <PartCard id="weights" aside={note}>
      {view.kind === 'pictures' && <Pictures view={view} trace={trace} chosen={chosen} />}
      {view.kind === 'histograms' && (
        <>
          <p>{view.reason}</p>
          <Histograms histograms={view.histograms} first={first} />
        </>
      )}
      {view.kind === 'pictures' && (
        <details>
          <summary>All layers as histograms</summary>
          <Histograms histograms={view.histograms} first={first} />
        </details>
      )}
    </PartCard>
  );
}

/** The histograms that were shown first, kept until the tensors change. */
interface First {
  readonly histograms: readonly Histogram[];
  /** When they were computed, such as `after step 12`. */
  readonly note: string;
}

function useFirst(now: First): First {
  const first = useRef(now);
  const shapesOf = ({ histograms }: First): string =>
    JSON.stringify(histograms.map(({ name, shape }) => [name, shape]));
  if (shapesOf(now) !== shapesOf(first.current)) first.current = now;
  return first.current;
}

function Histograms({ histograms, first }: Pick<First, 'histograms'> & { readonly first: First }) {
  return (
    <>
      <div class="histograms">
        {histograms.map((histogram, index) => (
          <HistogramView key={histogram.name} histogram={histogram} before={first.histograms[index]} />
        ))}
      </div>
      <p class="aside">The line is how they were when this view was opened, {first.note}.</p>
    </>
  );
}

type PicturesProps = Pick<WeightsPartProps, 'trace' | 'chosen'> & { readonly view: WeightPictures };

function Pictures({ view, trace, chosen }: PicturesProps) {
  const { of, count, total, rows, columns, channels, values, scale } = view;
  const some = count < total ? `The first ${whole(count)} of ${whole(total)} ${of}` : `The ${whole(total)} ${of}`;
  const mean = channels > 1 ? `, each pixel the mean over ${channels} channels` : '';
  const caption = `${some} of the first layer, ${rows} x ${columns} weights each${mean}`;
  return (
    <div class="weight-pictures">
      <div>
        <Tiles
          {...{ values, count, rows, columns, scale }}
          label={caption}
          height={720}
          largestCell={24}
          gap={3}
          chosen={chosen.value}
          onChoose={(picture) => {
            chosen.value = picture;
          }}
        />
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
  return (
    <div class="one-picture">
      <Tiles
        {...{ rows, columns, scale }}
        values={own}
        count={1}
        label={`${title} ${number}: weights from ${significant(Math.min(...own))} to ${significant(Math.max(...own))}`}
        height={208}
        largestCell={40}
        gap={0}
      />
      <p class="field">
        <label for="picture">{title}</label>
        <output for="picture">{number}</output>
        <input
          id="picture"
          type="range"
          min={0}
          max={count - 1}
          value={number}
          onInput={({ currentTarget }) => {
            chosen.value = Number(currentTarget.value);
          }}
        />
      </p>
      <ScaleLegend scale={scale} />
      {trace && of === 'neurons' && <p class="aside">{valuesText(trace, number)}</p>}
    </div>
  );
}

/** Describes the neuron's output for the sample, in the first layer and in the layers that follow it. */
function valuesText(trace: SampleTrace, neuron: number): string {
  const parts = unitLayers(trace).map(({ type, values }) => `${type} ${significant(values[neuron]!)}`);
  return `For the sample below it gives: ${parts.join(', ')}.`;
}

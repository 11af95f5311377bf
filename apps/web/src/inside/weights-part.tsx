/** The weights of the first layer as pictures, or those of all layers as histograms. */
import type { Histogram, WeightPictures, WeightView } from '@lockstep/lesson';
import { useSignal } from '@preact/signals';
import { significant, whole } from '../look/format.ts';
import { PartCard } from './part-card.tsx';
import { ScaleLegend } from './scale-legend.tsx';
import { Tiles } from './tiles.tsx';

interface WeightsPartProps {
  readonly view: WeightView | undefined;
  readonly note: string;
}

export function WeightsPart({ view, note }: WeightsPartProps) {
  return (
    <PartCard id="weights" aside={note}>
      {!view && <p class="empty">The weights come with the run's next message.</p>}
      {view?.kind === 'pictures' && <Pictures view={view} />}
      {view?.kind === 'histograms' && (
        <>
          <p>{view.reason}</p>
          <div class="histograms">
            {view.histograms.map((histogram) => (
              <HistogramView key={histogram.name} histogram={histogram} />
            ))}
          </div>
        </>
      )}
    </PartCard>
  );
}

function Pictures({ view }: { readonly view: WeightPictures }) {
  const chosen = useSignal(0);
  const { of, count, total, rows, columns, channels, values, scale } = view;
  const noun = of === 'neurons' ? 'neuron' : 'filter';
  const number = Math.min(chosen.value, count - 1);
  const own = values.subarray(number * rows * columns, (number + 1) * rows * columns);
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
          chosen={number}
          onChoose={(picture) => {
            chosen.value = picture;
          }}
        />
        <p class="aside">{caption}.</p>
      </div>
      <div class="one-picture">
        <Tiles
          {...{ rows, columns, scale }}
          values={own}
          count={1}
          label={`The weights of ${noun} ${number}`}
          height={208}
          largestCell={40}
          gap={0}
        />
        <p class="field">
          <label for="picture">{of === 'neurons' ? 'Neuron' : 'Filter'}</label>
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
        <p class="aside">
          From {significant(Math.min(...own))} to {significant(Math.max(...own))}.
        </p>
      </div>
    </div>
  );
}

function HistogramView({ histogram: { name, shape, counts, limit } }: { readonly histogram: Histogram }) {
  const most = Math.max(...counts);
  const width = 100 / counts.length;
  const text = significant(Number(limit.toPrecision(2)));
  return (
    <figure class="histogram">
      <figcaption>
        {name} <small>[{shape.join(', ')}]</small>
      </figcaption>
      <svg
        viewBox="0 0 100 40"
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram of ${name}, from -${text} to ${text}`}
      >
        {counts.map((count, bin) => {
          const height = most === 0 ? 0 : (40 * count) / most;
          return <rect key={bin} x={bin * width} y={40 - height} width={width * 0.9} height={height} />;
        })}
      </svg>
      <p class="scale-ends" aria-hidden="true">
        <span>−{text}</span>
        <span>0</span>
        <span>{text}</span>
      </p>
    </figure>
  );
}

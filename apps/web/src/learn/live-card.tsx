/** The live run of a chapter: a network that trains in this tab, and controls that change it during training. */
import {
  beginsCurve,
  type Control,
  type Exhibit,
  type LiveDefinition,
  liveSteps,
  type Setting,
  stepsPerPlace,
} from '@lockstep/lesson';
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { ControlField } from './control-field.tsx';
import { LiveCurvesView } from './exhibits/live-curves.tsx';
import { NeuronsView } from './exhibits/neurons.tsx';
import { PicturesView } from './exhibits/pictures.tsx';
import { PlaneView } from './exhibits/plane.tsx';
import { LiveTraining } from './live-training.ts';
import './live.css';

interface LiveCardProps {
  readonly chapterId: string;
  readonly live: LiveDefinition;
}

export const liveCardId = 'live-run';

export function LiveCard({ chapterId, live }: LiveCardProps) {
  const training = useMemo(() => new LiveTraining(chapterId), [chapterId]);
  const changed = useSignal<Readonly<Record<string, Setting>>>({});
  const settings = { ...firstOf(live), ...changed.value };
  useEffect(() => {
    training.open(settings);
    return () => training.stop();
  }, [training]);
  const controls = Object.entries(live.controls);
  const group = (legend: string, begins: boolean) => (
    <LiveControls
      legend={legend}
      controls={controls.filter(([name]) => beginsCurve(name) === begins)}
      settings={settings}
      onChange={(name, value) => {
        changed.value = { ...changed.value, [name]: value };
        training.change({ ...settings, [name]: value });
      }}
    />
  );
  return (
    <section
      id={liveCardId}
      class="card live-card"
      aria-labelledby="live-title"
      tabIndex={-1}
      data-live={training.phase}
    >
      <h3 id="live-title">{live.caption}</h3>
      <p class="prose">{live.hint}</p>
      <div class={live.fixed['data'] === 'digits' ? 'live' : 'live live-with-plane'}>
        <LiveExhibits live={live} exhibits={training.exhibits.value} />
        <div class="live-side">
          <LiveButtons training={training} settings={settings} />
          {group('Acts from the next step on', false)}
          {group('Begins another curve beside it', true)}
        </div>
      </div>
    </section>
  );
}

interface LiveExhibitsProps {
  readonly live: LiveDefinition;
  readonly exhibits: readonly Exhibit[];
}

/** The curves and the data. */
function LiveExhibits({ live, exhibits }: LiveExhibitsProps) {
  const curves = exhibits.find((each): each is Kind<'live-curves'> => each.kind === 'live-curves');
  const plane = exhibits.find((each): each is Kind<'plane'> => each.kind === 'plane');
  const neurons = exhibits.find((each): each is Kind<'neurons'> => each.kind === 'neurons');
  return (
    <>
      <div class="live-curves">
        <LiveCurvesView
          exhibit={curves ?? { kind: 'live-curves', caption: live.caption, length: liveSteps, curves: [] }}
        />
      </div>
      {live.fixed['data'] === 'digits' ? (
        <LiveDigits pictures={exhibits.find((each): each is Kind<'pictures'> => each.kind === 'pictures')} />
      ) : (
        <>
          <LivePlane plane={plane} />
          <LiveNeurons neurons={neurons} />
        </>
      )}
    </>
  );
}

type Kind<Name extends Exhibit['kind']> = Extract<Exhibit, { kind: Name }>;

function firstOf({ controls }: LiveDefinition): Readonly<Record<string, Setting>> {
  return Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
}

interface LiveControlsProps {
  readonly legend: string;
  readonly controls: readonly (readonly [string, Control])[];
  readonly settings: Readonly<Record<string, Setting>>;
  readonly onChange: (name: string, value: Setting) => void;
}

function LiveControls({ legend, controls, settings, onChange }: LiveControlsProps) {
  if (controls.length === 0) return null;
  return (
    <fieldset>
      <legend>{legend}</legend>
      {controls.map(([name, control]) => (
        <ControlField
          key={name}
          name={`live-${name}`}
          control={control}
          value={settings[name]!}
          onChange={(value) => onChange(name, value)}
        />
      ))}
    </fieldset>
  );
}

/** Keeps its height while the thread opens. */
function LiveDigits({ pictures }: { readonly pictures: Kind<'pictures'> | undefined }) {
  return (
    <figure class="live-digits">
      {pictures && <PicturesView exhibit={pictures} />}
      <figcaption class="aside">{pictures?.caption}</figcaption>
    </figure>
  );
}

/** Keeps its place while there is nothing to show. */
function LivePlane({ plane }: { readonly plane: Kind<'plane'> | undefined }) {
  return (
    <figure class="live-plane">
      {plane ? <PlaneView exhibit={plane} /> : <div class="plane" />}
      <figcaption class="aside">Dots: samples of two classes. Shade: probability of the filled dots' class.</figcaption>
    </figure>
  );
}

/** Keeps its height while the thread opens. */
function LiveNeurons({ neurons }: { readonly neurons: Kind<'neurons'> | undefined }) {
  return (
    <figure class="live-neurons">
      {neurons ? <NeuronsView exhibit={neurons} /> : <div class="neurons" />}
      <figcaption class="aside">
        Each square is a hidden neuron: its output over the same plane, blue above 0, orange below.
      </figcaption>
    </figure>
  );
}

interface LiveButtonsProps {
  readonly training: LiveTraining;
  readonly settings: Readonly<Record<string, Setting>>;
}

function LiveButtons({ training, settings }: LiveButtonsProps) {
  const phase = training.phase.value;
  const isTraining = phase === 'training';
  const isUntrained = hasNoStep(training.exhibits.value);
  return (
    <>
      <div class="control-buttons">
        <button
          type="button"
          class="primary next-action"
          disabled={phase === 'ended' || phase === 'failed'}
          onClick={() => (isTraining ? training.pause() : training.train())}
        >
          {isTraining ? 'Pause' : isUntrained ? 'Train' : 'Go on'}
        </button>
        <button
          type="button"
          disabled={isTraining || phase === 'ended' || phase === 'failed'}
          onClick={() => training.step()}
        >
          {stepsPerPlace} steps
        </button>
        <button type="button" disabled={isUntrained} onClick={() => training.restart()}>
          Another curve
        </button>
        <button type="button" disabled={isUntrained} onClick={() => training.clear(settings)}>
          Clear
        </button>
      </div>
      <p class="aside live-status" role="status">
        {statusOf(training, isUntrained)}
      </p>
    </>
  );
}

/** Whether no training step was taken yet. */
function hasNoStep(exhibits: readonly Exhibit[]): boolean {
  return exhibits.every((each) => each.kind !== 'live-curves' || each.curves.every(({ steps }) => steps.length === 0));
}

function statusOf(training: LiveTraining, isUntrained: boolean): string {
  const texts = {
    opening: 'Loading …',
    training: 'Training in this tab.',
    paused: isUntrained ? 'Untrained. Train, and move the controls while the curve grows.' : 'Paused.',
    ended: 'The curve is at its end. Move a control, or begin another curve.',
    failed: `The network cannot be trained here: ${training.message.value}.`,
  };
  return texts[training.phase.value];
}

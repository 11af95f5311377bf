/** The live run of a chapter: a network that trains in this tab, and controls that change it during training. */
import { beginsCurve, type Exhibit, type LiveDefinition, liveSteps, stepsPerPlace } from '@lockstep/lesson';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { Computation } from './computation.ts';
import { ControlField, controlDefaults } from './control-field.tsx';
import { type ExhibitOf, ExhibitView, LiveCurvesView } from './exhibits.tsx';
import type { Settings } from './messages.ts';

interface LiveCardProps {
  readonly chapterId: string;
  readonly live: LiveDefinition;
}

export const liveCardId = 'live-run';

/** With reduced motion, each picture stays for one second. */
const paces = {
  usual: { places: 1, pictureEveryMs: 30 },
  reduced: { places: 30, pictureEveryMs: 1000 },
} as const;

export function LiveCard({ chapterId, live }: LiveCardProps) {
  const computation = useMemo(() => new Computation(), [chapterId]);
  const changed = useSignal<Settings>({});
  const settings = { ...controlDefaults(live.controls), ...changed.value };
  // Shows the data and the untrained network.
  const open = (): void => computation.send({ type: 'open', chapterId, settings });
  useEffect(() => {
    open();
    return () => computation.stop();
  }, [computation]);
  const group = (legend: string, begins: boolean) => {
    const controls = Object.entries(live.controls).filter(([name]) => beginsCurve(name) === begins);
    return (
      controls.length > 0 && (
        <fieldset class="stack">
          <legend>{legend}</legend>
          {controls.map(([name, control]) => (
            <ControlField
              key={name}
              name={`live-${name}`}
              control={control}
              value={settings[name]!}
              onChange={(value) => {
                changed.value = { ...changed.value, [name]: value };
                computation.send({ type: 'change', settings: { ...settings, [name]: value } });
              }}
            />
          ))}
        </fieldset>
      )
    );
  };
  return (
    <section
      id={liveCardId}
      class="card live-card"
      aria-labelledby="live-title"
      tabIndex={-1}
      data-live={computation.phase}
    >
      <h3 id="live-title">{live.caption}</h3>
      <p class="prose">{live.hint}</p>
      <div class={live.fixed['data'] === 'digits' ? 'live' : 'live live-with-plane'}>
        <LiveExhibits live={live} exhibits={computation.exhibits.value} />
        <div class="stack live-side">
          <LiveButtons computation={computation} onClear={open} />
          {group('Takes effect at the next step', false)}
          {group('Starts another curve', true)}
        </div>
      </div>
    </section>
  );
}

/** The curves and the data. They keep their places while the thread opens. */
function LiveExhibits({ live, exhibits }: Pick<LiveCardProps, 'live'> & { readonly exhibits: readonly Exhibit[] }) {
  const find = <Kind extends Exhibit['kind']>(kind: Kind) =>
    exhibits.find((each): each is ExhibitOf<Kind> => each.kind === kind);
  const part = (kind: 'pictures' | 'plane' | 'neurons', name: string, caption: ComponentChildren) => {
    const exhibit = find(kind);
    return (
      <figure class={`live-${name}`}>
        {exhibit ? <ExhibitView exhibit={exhibit} /> : kind !== 'pictures' && <div class={kind} />}
        <figcaption class="aside">{caption}</figcaption>
      </figure>
    );
  };
  const empty = { kind: 'live-curves', caption: live.caption, length: liveSteps, curves: [] } as const;
  return (
    <>
      <div class="live-curves">
        <LiveCurvesView exhibit={find('live-curves') ?? empty} />
      </div>
      {live.fixed['data'] === 'digits' ? (
        part('pictures', 'digits', find('pictures')?.caption)
      ) : (
        <>
          {part('plane', 'plane', "Dots: samples of two classes. Shade: probability of the filled dots' class.")}
          {part(
            'neurons',
            'neurons',
            'Each square is a hidden neuron: its output over the same plane, blue above 0, orange below.',
          )}
        </>
      )}
    </>
  );
}

interface LiveButtonsProps {
  readonly computation: Computation;
  readonly onClear: () => void;
}

function LiveButtons({ computation, onClear }: LiveButtonsProps) {
  const phase = computation.phase.value;
  const isTraining = phase === 'training';
  const hasEnded = phase === 'ended' || phase === 'failed';
  // Whether no training step was taken yet.
  const isUntrained = computation.exhibits.value.every(
    (each) => each.kind !== 'live-curves' || each.curves.every(({ steps }) => steps.length === 0),
  );
  const train = (): void => {
    const isReduced = matchMedia('(prefers-reduced-motion: reduce)').matches;
    computation.send({ type: 'train', ...paces[isReduced ? 'reduced' : 'usual'] });
  };
  const ask = (type: 'pause' | 'restart' | 'step') => (): void => computation.send({ type });
  return (
    <>
      <div class="row">
        <button
          type="button"
          class="primary next-action"
          disabled={hasEnded}
          onClick={isTraining ? ask('pause') : train}
        >
          {isTraining ? 'Pause' : isUntrained ? 'Train' : 'Resume'}
        </button>
        <button type="button" disabled={isTraining || hasEnded} onClick={ask('step')}>
          {stepsPerPlace} steps
        </button>
        <button type="button" disabled={isUntrained} onClick={ask('restart')}>
          Another curve
        </button>
        <button type="button" disabled={isUntrained} onClick={onClear}>
          Clear
        </button>
      </div>
      <p class="aside live-status" role="status">
        {statusOf(computation, isUntrained)}
      </p>
    </>
  );
}

function statusOf({ phase, failure }: Computation, isUntrained: boolean): string {
  const texts = {
    computing: 'Loading …',
    training: 'Training in this tab.',
    paused: isUntrained ? 'Untrained. Train, and move the controls while the curve grows.' : 'Paused.',
    done: '',
    ended: 'The curve is complete. Move a control, or start another curve.',
    failed: `The network cannot be trained here: ${failure.value}.`,
  };
  return texts[phase.value];
}

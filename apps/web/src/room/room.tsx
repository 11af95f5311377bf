/** The view for a projector: how to join, who has joined, and how accurate the model is so far. */
import type { WatchMessageOf } from '@lockstep/protocol';
import type { Secrets } from '../address.ts';
import { lossText, measured, percent, perplexityText, plural, thousands } from '../look/format.ts';
import { chartSettings } from '../look/theme.ts';
import { hasAccuracy, useCurvesVersion } from '../panels/curves.tsx';
import { Mark, ThemeButton } from '../panels/header.tsx';
import { invitationOf, QrCode, uninvitedTexts } from '../panels/invite.tsx';
import { CurvePlot } from '../view/curves.tsx';
import { SampleText } from '../view/texts.tsx';
import { isText, type RunStore } from '../watch/run-store.ts';
import { batchAtStart, evaluatedText } from '../watch/run-texts.ts';
import type { ShownWorker } from '../watch/status.ts';
import './room.css';

interface RoomProps {
  readonly store: RunStore;
  readonly secrets: Secrets;
  /** Starts the run; absent for guests. */
  readonly onStart: (() => void) | undefined;
}

export function Room({ store, secrets, onStart }: RoomProps) {
  const { title, name, reason, isCurrent } = store.status.value;
  return (
    <div class={`room ${isCurrent ? '' : 'room-stale'}`}>
      <header class="row room-top">
        <h1>
          <Mark />
          Lockstep
        </h1>
        <p class="phase" role="status">
          <span class={`phase-dot phase-${name}`} aria-hidden="true" />
          {title}
        </p>
        {reason !== undefined && <p class="room-reason">{reason}</p>}
        <div class="top-buttons">
          <a class="button" href="#run">
            The run
          </a>
          {onStart && canStart(store) && (
            <button type="button" class="primary" onClick={onStart}>
              Start
            </button>
          )}
          <FullScreenButton />
          <ThemeButton />
        </div>
      </header>
      {/* Nothing is shown of an unknown run. */}
      {(store.run.value || store.dataSetup.value) && (
        // The key remounts the scene when training begins, so that no element moves from one scene to the other.
        <main
          key={isGathering(store) ? 'gathering' : 'run'}
          class={isGathering(store) ? 'room-main room-gathering' : 'room-main'}
        >
          <Invitation store={store} token={secrets.token} />
          <Score store={store} />
          <Names store={store} />
        </main>
      )}
    </div>
  );
}

/** Whether people are still joining: no step has been taken. */
function isGathering({ progress, isOver }: RunStore): boolean {
  return (progress.value?.step ?? 0) === 0 && !isOver.value;
}

/** Whether the run waits for its owner and has the workers needed to choose its batch. */
function canStart(store: RunStore): boolean {
  const { value: progress } = store.progress;
  if (store.status.value.name !== 'waiting' || progress?.pauseRequested !== true) return false;
  const atStart = batchAtStart(store);
  return atStart === undefined || atStart.batch !== undefined;
}

/** Renders nothing if the browser has no full-screen mode, as on a phone. */
function FullScreenButton() {
  if (!document.fullscreenEnabled) return null;
  const toggle = (): void =>
    void (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()).catch(
      () => {},
    );
  return (
    <button type="button" class="room-full" onClick={toggle}>
      Full screen
    </button>
  );
}

function Invitation({ store, token }: { readonly store: RunStore; readonly token: string | undefined }) {
  const run = store.run.value;
  const code = store.joinCode.value;
  const invitation = invitationOf(run, token, new URL(location.href));
  const isOpen = invitation.type === 'open';
  return (
    <section class="room-join" aria-labelledby="room-join-title">
      <h2 id="room-join-title">{isOpen ? 'Scan to join' : 'Join'}</h2>
      {invitation.type === 'open' ? <QrCode text={invitation.link} /> : <p>{uninvitedTexts[invitation.type]}</p>}
      {invitation.type !== 'no-token' && (
        <p>
          {isOpen ? 'or open' : 'On this computer, open'} <span class="room-address">{invitation.address}</span>
        </p>
      )}
      {/* The code arrives a moment after the page; its space is reserved. */}
      {token !== undefined && (
        <p class={code === undefined ? 'hidden' : ''}>
          and type <strong class="room-code">{code ?? '\u00a0'}</strong>
        </p>
      )}
    </section>
  );
}

/** The best figure known: number of devices, training accuracy or loss so far, or test result of the last epoch. */
function Score({ store }: { readonly store: RunStore }) {
  store.curvesVersion.value;
  const { figure, label, text } = scoreOf(store);
  return (
    <section class="room-score" aria-labelledby="room-score-title">
      {!text && <RoomCurve store={store} />}
      <h2 id="room-score-title">{label}</h2>
      {/* The end of a text that does not fit is cut off: a projector does not scroll. */}
      {text ? (
        <p class="room-text">
          <SampleText sample={text} />
        </p>
      ) : (
        <p class="room-figure">{figure}</p>
      )}
      <p class="room-epoch">{epochText(store)}</p>
    </section>
  );
}

/** Names of the curves, since the large figure may show another quantity. */
const curveNames = { accuracy: 'Curve: training accuracy, from 0 to 100 %', loss: 'Curve: training loss' } as const;

/** The curve behind the figure: training accuracy from 0 to 100 %, or training loss of values and texts. */
function RoomCurve({ store }: { readonly store: RunStore }) {
  useCurvesVersion(store);
  const kind = hasAccuracy(store.run.value) ? 'accuracy' : 'loss';
  const { at = [], smoothTrain = [] } =
    store.curves(kind, { axis: 'step', memory: chartSettings.value.memory })[0]?.table ?? {};
  // A model that has diverged has no meaningful accuracy.
  if (at.length < 2 || store.status.value.name === 'failed') return null;
  const label = curveNames[kind];
  return (
    <CurvePlot
      x={at}
      curves={[{ label, color: '--train', width: 3, fill: '--train-faint', values: smoothTrain }]}
      y={kind === 'loss' ? 'fromZero' : 'percent'}
      yRange={(_plot, _low, high) => [0, kind === 'loss' ? high || 1 : 100]}
      format={kind === 'loss' ? lossText : (value) => percent(value / 100)}
      placeText={(step) => (step === undefined ? '' : `step ${thousands(step)}`)}
      name={([value = '–']) => `${label}: ${value}`}
      isBare
    />
  );
}

interface RoomScore {
  readonly figure: string;
  readonly label: string;
  /** The newest text that the model has written, in place of the figure. */
  readonly text?: WatchMessageOf<'sample'>;
}

function scoreOf(store: RunStore): RoomScore {
  if (store.status.value.name === 'failed') return { label: 'The run', figure: 'failed' };
  if (isGathering(store)) return { label: 'In the room', figure: `${present(store).length}` };
  const last = store.epochs.value.at(-1);
  const { loss, accuracy } = store.training(chartSettings.value.memory);
  const evaluated = last && evaluatedText(last.epoch, store);
  if (store.run.value?.targetField.role === 'value') {
    const figure = last?.testRmse ?? undefined;
    return figure === undefined
      ? { label: 'Training loss', figure: loss === undefined ? '–' : lossText(loss) }
      : { label: `Test RMSE, ${evaluated}`, figure: measured(figure) };
  }
  if (isText(store.run.value)) {
    const text = store.samples.value.at(-1);
    if (text) return { label: `Written after step ${thousands(text.step)}`, figure: '', text };
    return { label: 'Training perplexity', figure: loss === undefined ? '–' : perplexityText(loss) };
  }
  const test = last?.testAccuracy ?? undefined;
  if (test !== undefined) return { label: `Test accuracy, ${evaluated}`, figure: percent(test) };
  return { label: 'Training accuracy', figure: accuracy === undefined ? '–' : percent(accuracy / 100) };
}

function epochText(store: RunStore): string {
  const atStart = batchAtStart(store);
  if (atStart) return atStart.text;
  if (isGathering(store)) return 'Devices that will train together';
  const [run, progress] = [store.run.value, store.progress.value];
  return run && progress
    ? `Epoch ${thousands(Math.min(progress.epoch, run.config.epochs))} of ${thousands(run.config.epochs)}`
    : '\u00a0';
}

/** With more names than this, the type becomes smaller. */
const manyNames = 10;

function Names({ store }: { readonly store: RunStore }) {
  const workers = present(store);
  return (
    <section class="room-names" aria-labelledby="room-names-title">
      <h2 id="room-names-title">{namesTitle(workers.length, store)}</h2>
      <ul class={workers.length > manyNames ? 'room-many' : ''}>
        {workers.map(({ id, name, health }) => (
          <li key={id} class={`room-name room-${health}`}>
            {name}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Workers that are connected or, if the run is over, were connected at its end. */
function present({ workers }: RunStore): readonly ShownWorker[] {
  return workers.value.filter(({ health }) => health !== 'gone');
}

function namesTitle(count: number, { isOver, status }: RunStore): string {
  if (isOver.value) return `Trained by ${plural(count, 'device')}`;
  if (!status.value.isCurrent) return `${plural(count, 'device')} at last contact`;
  return count === 0 ? 'Waiting for the first device' : `${plural(count, 'device')} in the room`;
}

/** The page: every panel in its place. */
import type { FaultAction } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import type { Secrets } from './address.ts';
import { keepSecrets } from './address.ts';
import type { Reader } from './draw/reader.ts';
import type { TabWorker } from './join/join.ts';
import { lossText, percent, whole } from './look/format.ts';
import { nextTheme, theme } from './look/theme.ts';
import { Chart } from './panels/chart.tsx';
import { Control, Unlock } from './panels/control.tsx';
import { Draw } from './panels/draw.tsx';
import { Confusion, TopErrors } from './panels/evaluation.tsx';
import { Invite } from './panels/invite.tsx';
import { Join } from './panels/join.tsx';
import { Log } from './panels/log.tsx';
import { Overview } from './panels/overview.tsx';
import { StepPicture } from './panels/step-picture.tsx';
import { Workers } from './panels/workers.tsx';
import type { CurveTable } from './watch/curves.ts';
import type { Room, Run } from './watch/room.ts';
import type { Viewer } from './watch/viewer.ts';

export interface PageProps {
  readonly room: Room;
  readonly viewer: Viewer;
  readonly tab: TabWorker;
  readonly reader: Reader;
  readonly secrets: Signal<Secrets>;
}

export function Page({ room, viewer, tab, reader, secrets }: PageProps) {
  const run = room.run.value;
  const { admin, token } = secrets.value;
  const withAdmin = admin === undefined ? {} : { token: admin };
  const injectFault = (action: FaultAction, workerId: string): void =>
    viewer.send({ type: 'injectFault', action, workerId, ...withAdmin });
  const unlock = (given: string): void => {
    room.refused.value = undefined;
    secrets.value = { ...secrets.value, admin: given };
    keepSecrets(secrets.value);
  };
  const state = tab.state.value;
  const ownId = state.phase === 'idle' || state.phase === 'ended' ? undefined : state.id;
  const phase = room.progress.value?.phase;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the run
      </a>
      <header class="top">
        <h1>
          <Mark />
          Lockstep
        </h1>
        <p class="subtitle">{run ? description(run) : ' '}</p>
        <div class="top-buttons">
          <Invite run={run} token={token} />
          {admin === undefined && <Unlock onToken={unlock} />}
          <button type="button" class="theme" onClick={nextTheme} aria-label={`${themeTitle()}: the page's colors`}>
            <ThemeIcon />
            <span>{themeTitle()}</span>
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Connection room={room} />
        <Overview room={room} />
        {admin !== undefined && (
          <Control room={room} onAction={(action) => viewer.send({ type: 'admin', action, ...withAdmin })} />
        )}
        <div class="panels">
          <Join tab={tab} isOver={phase === 'finished' || phase === 'failed'} />
          <Curves room={room} />
          <StepPicture room={room} />
          <Draw reader={reader} classes={run?.classes ?? 10} />
          <Workers
            room={room}
            ownId={ownId}
            onInjectFault={run?.faultInjection && admin !== undefined ? injectFault : undefined}
          />
          <Confusion room={room} />
          <TopErrors room={room} />
          <Log room={room} />
        </div>
      </main>
      <footer class="bottom">
        {run ? `Lockstep ${run.version}. ` : ''}The model you get does not depend on who helped.
      </footer>
    </>
  );
}

function Curves({ room }: { readonly room: Room }) {
  const run = room.run.value;
  const stepsPerEpoch = useSignal(1);
  if (run) stepsPerEpoch.value = run.stepsPerEpoch;
  const epochs = run ? run.steps / run.stepsPerEpoch : 1;
  const table = useTable(room, stepsPerEpoch);
  return (
    <section class="card curves-card" aria-labelledby="curves-title">
      <h2 id="curves-title" class="sr-only">
        Curves
      </h2>
      <Chart title="Loss" kind="loss" table={table} changed={room.curvesChanged} epochs={epochs} format={lossText} />
      <Chart
        title="Accuracy"
        kind="accuracy"
        table={table}
        changed={room.curvesChanged}
        epochs={epochs}
        format={(value) => percent(value / 100)}
      />
    </section>
  );
}

/** One function for both charts, the same at every rendering, so that they need not start anew. */
function useTable(room: Room, stepsPerEpoch: Signal<number>): () => CurveTable {
  return useSignal(() => room.curves.table(room.epochs.value, stepsPerEpoch.peek())).peek();
}

/** Says so when this page is cut off; what it shows then stays as it was. */
function Connection({ room }: { readonly room: Room }) {
  const link = room.link.value;
  const phase = room.progress.value?.phase;
  const isOver = phase === 'finished' || phase === 'failed';
  return (
    <p class={`connection connection-${link.phase}`} role="status">
      {link.phase === 'lost' &&
        (isOver
          ? 'The coordinator has ended; this is what it left.'
          : `Not connected: ${link.message}. Trying again …`)}
    </p>
  );
}

function themeTitle(): string {
  switch (theme.value) {
    case 'system':
      return 'Auto';
    case 'light':
      return 'Light';
    case 'dark':
      return 'Dark';
    default:
      return theme.value satisfies never;
  }
}

function ThemeIcon() {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <circle cx="8" cy="8" r="6.25" class="icon-line" />
      {theme.value !== 'light' && (
        <path
          d={
            theme.value === 'dark'
              ? 'M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5z'
              : 'M8 1.75a6.25 6.25 0 0 1 0 12.5z'
          }
          class="icon-fill"
        />
      )}
    </svg>
  );
}

function description({ model, parameters, config, microbatches }: Run): string {
  const name = isNamed(model) ? model.name : 'model';
  const optimizer = optimizerText(config.optimizer);
  return `${name}, ${whole(parameters)} parameters · batch ${config.batch} in ${microbatches} microbatches · ${optimizer} · seed ${config.seed}`;
}

function isNamed(model: unknown): model is { readonly name: string } {
  return typeof model === 'object' && model !== null && 'name' in model && typeof model.name === 'string';
}

function optimizerText(optimizer: unknown): string {
  if (typeof optimizer !== 'object' || optimizer === null || !('type' in optimizer)) return 'optimizer unknown';
  const rate = 'learningRate' in optimizer ? `, learning rate ${String(optimizer.learningRate)}` : '';
  return `${String(optimizer.type)}${rate}`;
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect x="2" y="4" width="13" height="4" rx="1" class="mark-a" />
      <rect x="2" y="10" width="13" height="4" rx="1" class="mark-b" />
      <rect x="2" y="16" width="13" height="4" rx="1" class="mark-a" />
      <rect x="18.5" y="2" width="2" height="20" rx="1" class="mark-line" />
    </svg>
  );
}

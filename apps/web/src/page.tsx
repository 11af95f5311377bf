/** The page: every panel in its place. */
import type { AdminAction, WatchMessageFrom } from '@lockstep/protocol';
import type { Signal } from '@preact/signals';
import { type Secrets, saveSecrets } from './address.ts';
import type { Uploader } from './data/uploader.ts';
import type { Predictor } from './draw/predictor.ts';
import type { TabWorker } from './join/tab-worker.ts';
import { CodeForm } from './panels/code-form.tsx';
import { ConfusionMatrix } from './panels/confusion-matrix.tsx';
import { Control } from './panels/control.tsx';
import { Curves, LearningRate } from './panels/curves.tsx';
import { type DataActions, DataCard } from './panels/data-card.tsx';
import { Draw } from './panels/draw.tsx';
import { Ending } from './panels/ending.tsx';
import { Header } from './panels/header.tsx';
import { Join } from './panels/join.tsx';
import { Log } from './panels/log.tsx';
import { Overview } from './panels/overview.tsx';
import type { RunChanges } from './panels/run-again.tsx';
import { Runs } from './panels/runs.tsx';
import { StepTimeline } from './panels/step-timeline.tsx';
import { TopErrors } from './panels/top-errors.tsx';
import type { WorkerOwner } from './panels/worker-actions.tsx';
import { Workers } from './panels/workers.tsx';
import { goesOnText } from './watch/checkpoint-text.ts';
import type { Connection, RunStore } from './watch/run-store.ts';
import type { Viewer } from './watch/viewer.ts';

export interface PageProps {
  readonly store: RunStore;
  readonly viewer: Viewer;
  readonly tab: TabWorker;
  readonly predictor: Predictor;
  readonly uploader: Uploader;
  readonly secrets: Signal<Secrets>;
}

export function Page(props: PageProps) {
  const { store, tab, secrets } = props;
  const run = store.run.value;
  const { admin, token } = secrets.value;
  // One that was typed may be wrong: what only the owner sees comes when the coordinator has said so, and nothing jumps.
  const isAdmin = admin !== undefined && store.role.value?.role !== 'guest';
  const needsCode = isCodeWanted(store, token);
  const { control, owner, runAgain, unlock, enterCode } = requestsOf(props);
  const { dataSetup, rejection } = store;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the run
      </a>
      <Header
        run={run}
        dataSetup={dataSetup.value}
        token={token}
        code={store.joinCode.value}
        unlockFault={store.role.value?.fault}
        onUnlock={isAdmin ? undefined : unlock}
      />
      <main id="main" tabIndex={-1}>
        <Notice store={store} isCodeWanted={needsCode} />
        <Overview store={store}>
          {needsCode && <CodeForm fault={refusalOf(store.connection.value)} onCode={enterCode} />}
        </Overview>
        {dataSetup.value ? (
          <div class="panels before-run">
            <DataCard
              setup={dataSetup.value}
              actions={admin === undefined ? undefined : dataActions(props, admin)}
              rejection={rejection.value}
            />
            <Join tab={tab} run={run} isOver={false} />
          </div>
        ) : (
          <>
            {isAdmin && <Control store={store} onAction={control} onRunAgain={runAgain} />}
            <RunPanels {...props} owner={isAdmin ? owner : undefined} />
            {store.rateAt.value && <LearningRate store={store} />}
            <Runs store={store} />
          </>
        )}
      </main>
      <footer class="bottom">
        {run ? `Lockstep ${run.version}. ` : ''}The model you get does not depend on who helped.
      </footer>
    </>
  );
}

/** What this page asks of the coordinator, with the admin token where it is known. */
function requestsOf({ store, viewer, secrets }: PageProps) {
  const { admin, token } = secrets.value;
  const credentials = admin === undefined ? {} : { token: admin };
  return {
    control: (action: AdminAction): void => viewer.send({ type: 'admin', action, ...credentials }),
    owner: {
      rename: (workerId, name) => viewer.send({ type: 'renameWorker', workerId, name, ...credentials }),
      remove: (workerId) => viewer.send({ type: 'removeWorker', workerId, ...credentials }),
      injectFault: store.run.value?.faultInjection
        ? (action, workerId) => viewer.send({ type: 'injectFault', action, workerId, ...credentials })
        : undefined,
    } satisfies WorkerOwner,
    runAgain(changes: RunChanges): void {
      store.rejection.value = undefined;
      viewer.send({ type: 'runAgain', ...credentials, ...changes });
    },
    unlock(adminToken: string): void {
      store.rejection.value = undefined;
      store.role.value = { type: 'role', role: 'guest' };
      secrets.value = { token, admin: adminToken };
      saveSecrets(secrets.value);
      if (store.connection.value.phase === 'live') viewer.send({ type: 'unlock', token: adminToken });
      else viewer.connectNow();
    },
    enterCode(code: string): void {
      secrets.value = { token: code, admin };
      saveSecrets(secrets.value);
      viewer.connectNow();
    },
  };
}

interface RunPanelsProps extends PageProps {
  readonly owner: WorkerOwner | undefined;
}

function RunPanels({ store, tab, predictor, viewer, owner }: RunPanelsProps) {
  const run = store.run.value;
  const result = store.isOver.value ? store.result.value : undefined;
  const requestWeights = (): void => viewer.send({ type: 'wantWeights' });
  return (
    <div class="panels">
      <Join tab={tab} run={run} isOver={store.isOver.value && run?.canRunAgain !== true}>
        {result && <Ending store={store} result={result} ownIds={tab.ids} requestWeights={requestWeights} />}
      </Join>
      <Curves store={store} />
      <StepTimeline store={store} />
      <Draw predictor={predictor} run={run} />
      <Workers store={store} ownId={tab.id} owner={owner} />
      <ConfusionMatrix evaluation={store.evaluation.value} run={run} />
      <TopErrors evaluation={store.evaluation.value} run={run} />
      <Log lines={store.log.value} />
    </div>
  );
}

function dataActions({ store, viewer, uploader }: PageProps, token: string): DataActions {
  const send = (message: WatchMessageFrom<'viewer'>): void => {
    store.rejection.value = undefined;
    viewer.send(message);
  };
  return {
    uploader,
    send: (files) => void uploader.send(files, token),
    read: (request) => send({ type: 'readData', token, ...request }),
    start: () => send({ type: 'admin', action: 'start', token }),
  };
}

/** Where a token is needed and this page knows none, or one that was refused. */
function isCodeWanted({ connection, run }: RunStore, token: string | undefined): boolean {
  if (connection.value.phase === 'refused') return run.value?.tokenNeeded !== false;
  return connection.value.phase === 'live' && run.value?.tokenNeeded === true && token === undefined;
}

function refusalOf(connection: Connection): string | undefined {
  return connection.phase === 'refused' ? `Not connected: ${connection.reason}.` : undefined;
}

/** Shows why the page is disconnected, or why a run ended before its last step; the panels keep the last state. */
function Notice({ store, isCodeWanted }: { readonly store: RunStore; readonly isCodeWanted: boolean }) {
  const connection = store.connection.value;
  const { reason } = store.status.value;
  const isLost = connection.phase === 'lost';
  const isOver = store.isOver.value;
  // A run that has finished has nothing to go on with.
  const isCutOff = store.progress.value?.phase !== 'finished' && (isOver || isLost);
  const parts = [
    reason && sentence(reason),
    isLost && isOver && 'The coordinator has ended; this is what it left.',
    isLost && !isOver && `Not connected: ${connection.reason}. Trying again …`,
    // The form for the code says it otherwise.
    !isCodeWanted && refusalOf(connection),
    isCutOff && goesOnText(store.checkpoint.value),
  ];
  return (
    <p class="notice" role="status">
      {parts.filter(Boolean).join(' ')}
    </p>
  );
}

/** With a capital at its beginning, and a full stop. */
function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

/** The run's view: every panel in its place, and the requests to the coordinator. */
import type { AdminAction, RunChanges, RunMessage, WatchMessageFrom } from '@lockstep/protocol';
import type { Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Secrets } from './address.ts';
import type { Predictor } from './draw/predictor.ts';
import type { TabWorker } from './join/tab-worker.ts';
import { Card } from './look/controls.tsx';
import { ControlPanel } from './panels/control.tsx';
import { CurvesCard, LearningRate } from './panels/curves.tsx';
import { type DataActions, DataCard, type Uploader } from './panels/data.tsx';
import { Draw } from './panels/draw.tsx';
import { EndingPanel } from './panels/ending.tsx';
import { EvaluationCards, MetricsView } from './panels/evaluation.tsx';
import { Header } from './panels/header.tsx';
import { CodeForm, Join } from './panels/join.tsx';
import { Overview } from './panels/overview.tsx';
import { Runs } from './panels/runs.tsx';
import { StepTimeline } from './panels/step-timeline.tsx';
import { TextCards } from './panels/text.tsx';
import { type WorkerOwner, WorkersPanel } from './panels/workers.tsx';
import { isText, type LogLine, type RunStore } from './watch/run-store.ts';
import { needsCode } from './watch/status.ts';
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
  const { store, secrets } = props;
  const run = store.run.value;
  const { token } = secrets.value;
  const status = store.status.value;
  const { admin, control, runAgain, unlock, enterCode } = requestsOf(props);
  const { dataSetup } = store;
  // Nothing is shown of an unknown run.
  const isKnown = (run !== undefined || dataSetup.value !== undefined) && !needsCode(status);
  return (
    <>
      <Header
        store={store}
        // Only pages that know the token are sent the code.
        token={run?.tokenNeeded && store.joinCode.value === undefined ? undefined : token}
        onUnlock={admin === undefined && isKnown ? unlock : undefined}
      />
      <main id="main" tabIndex={-1}>
        <Overview store={store}>
          {needsCode(status) ? <CodeForm fault={status.reason} onCode={enterCode} /> : undefined}
        </Overview>
        {isKnown && dataSetup.value && (
          <div class="panels before-run">
            <DataCard
              setup={dataSetup.value}
              actions={admin === undefined ? undefined : dataActions(props, admin)}
              rejection={store.rejection.value}
            />
            <Join tab={props.tab} store={store} onCode={undefined} />
          </div>
        )}
        {isKnown && !dataSetup.value && (
          <>
            {admin !== undefined && <ControlPanel store={store} onAction={control} onRunAgain={runAgain} />}
            {run && <RunPanels {...props} run={run} />}
            {store.rateAt.value && <LearningRate store={store} />}
            <Runs store={store} />
          </>
        )}
      </main>
      {isKnown && (
        <footer class="bottom">
          {run ? `Lockstep ${run.version}. ` : ''}The model you get does not depend on who helped.
        </footer>
      )}
    </>
  );
}

/** This page's requests to the coordinator, with the admin token if it is known and not refused. */
export function requestsOf({ store, viewer, secrets }: Pick<PageProps, 'store' | 'viewer' | 'secrets'>) {
  const { token } = secrets.value;
  // The owner's controls keep their place until the coordinator answers, to avoid layout shift.
  const admin = store.role.value?.role === 'guest' ? undefined : secrets.value.admin;
  const credentials = admin === undefined ? {} : { token: admin };
  const owner: WorkerOwner = {
    rename: (workerId, name) => viewer.send({ type: 'renameWorker', workerId, name, ...credentials }),
    remove: (workerId) => viewer.send({ type: 'removeWorker', workerId, ...credentials }),
    injectFault: store.run.value?.faultInjection
      ? (action, workerId) => viewer.send({ type: 'injectFault', action, workerId, ...credentials })
      : undefined,
  };
  return {
    admin,
    owner: admin === undefined ? undefined : owner,
    control: (action: AdminAction): void => viewer.send({ type: 'admin', action, ...credentials }),
    runAgain(changes: RunChanges): void {
      store.rejection.value = undefined;
      viewer.send({ type: 'runAgain', ...credentials, ...changes });
    },
    unlock(adminToken: string): void {
      store.rejection.value = undefined;
      store.role.value = { type: 'role', role: 'guest' };
      secrets.value = { token, admin: adminToken };
      if (store.connection.value.phase === 'live') viewer.send({ type: 'unlock', token: adminToken });
      else viewer.connectNow();
    },
    enterCode(code: string): void {
      secrets.value = { token: code, admin };
      viewer.reconnect();
    },
  };
}

function RunPanels(props: PageProps & { readonly run: RunMessage }) {
  const { store, tab, predictor, viewer, secrets, run } = props;
  const result = store.isOver.value ? store.result.value : undefined;
  const hasEvaluation = store.status.value.name !== 'failed' && store.evaluation.value !== undefined;
  const { metrics } = store.report.value ?? {};
  const { owner, enterCode } = requestsOf(props);
  const requestWeights = (): void => viewer.send({ type: 'wantWeights' });
  const tabState = tab.state.value;
  const isCodeWrong = tabState.phase === 'ended' && tabState.isTokenWrong === true;
  const isCodeMissing = run.tokenNeeded && (secrets.value.token === undefined || isCodeWrong);
  const giveCode = (code: string): void => {
    tab.state.value = { phase: 'watching' };
    enterCode(code);
  };
  // Empty cards are omitted. A card that appears later moves only the log, which is rendered again. In a short run an
  // evaluation can arrive first: it then reserves the place of the timeline above it.
  const hasStep = store.timeline.value !== undefined || hasEvaluation;
  return (
    <div class="panels">
      <Join tab={tab} store={store} onCode={isCodeMissing ? giveCode : undefined}>
        {result && <EndingPanel store={store} result={result} ownIds={tab.ids} requestWeights={requestWeights} />}
      </Join>
      <CurvesCard store={store} />
      {isText(run) && <TextCards store={store} requestWeights={requestWeights} />}
      <Draw predictor={predictor} run={run} />
      <WorkersPanel store={store} ownId={tab.id} owner={owner} />
      {hasStep && <StepTimeline store={store} />}
      {hasEvaluation && <EvaluationCards store={store} run={run} />}
      <Log key={`${hasStep} ${hasEvaluation}`} lines={store.log.value} />
      {metrics && <MetricsView metrics={metrics} />}
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

/** The log follows new lines unless the person has scrolled up by more than this. */
const slackPixels = 24;

function Log({ lines }: { readonly lines: readonly LogLine[] }) {
  const list = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (list.current && isAtEnd.current) list.current.scrollTop = list.current.scrollHeight;
  }, [lines]);
  return (
    <Card name="log" title="Log">
      <div
        ref={list}
        class="scroll log"
        role="log"
        aria-label="Events of the run"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => {
          isAtEnd.current = scrollTop + clientHeight > scrollHeight - slackPixels;
        }}
      >
        {lines.length === 0 && <p class="empty">Nothing yet.</p>}
        <ol>
          {lines.map(({ key, at, text }) => (
            <li key={key}>
              <time dateTime={at?.toISOString() ?? ''}>{at?.toLocaleTimeString('en-GB') ?? 'earlier'}</time>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      </div>
    </Card>
  );
}

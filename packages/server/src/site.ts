/** A server with everything that persists across runs: workers of this machine, viewers, uploaded data, earlier runs. */

import { WaitingWorkers } from '@lockstep/coordinator';
import type { LocalWorkersSetup, NetworkSettings, Prepared, WorkerPool } from '@lockstep/prepare';
import { type CoordinatorTransport, toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import { type TrainingEvent, version } from '@lockstep/record';
import { hasEnded } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import { Dashboard, type DashboardOptions } from './dashboard.ts';
import { clientOf, Guesses, newTurnedAwayCounts } from './limiter.ts';
import { LocalWorkers } from './local-workers.ts';
import { defaultWorkerCommand, EarlierRuns } from './messages.ts';
import { createMetrics, createPages, type PageOptions } from './pages.ts';
import { localAddress } from './secrets.ts';
import { attachServer, hasTls, listeningEvent, openServer } from './server.ts';
import { createSockets, type Door, helloSizes, runSizes, type SocketOptions } from './sockets.ts';
import { createUploadAnswer, Lobby, type LobbyOptions, removeLeftBehind } from './upload.ts';
import { Permission, Viewers } from './viewers.ts';

/** A run to be served by its site. */
interface Serving
  extends Pick<DashboardOptions, 'run' | 'recorder' | 'parameterServer' | 'backend' | 'onRunAgain' | 'viewerLimits'> {
  readonly prepared: Prepared & Pick<NetworkSettings, 'listen'>;
  readonly emit: (event: TrainingEvent) => void;
}

/** The workers of a run on a site, and its viewers. */
interface AttachedRun extends WorkerPool {
  readonly dashboard: Dashboard;
}

/** Close codes of WebSocket: the server goes away; clients should reconnect at once. */
const endCode = 1001;
const restartCode = 1012;

export class Site {
  readonly #emit: (event: TrainingEvent) => void;
  readonly #local = new LocalWorkers();
  readonly #earlierRuns = new EarlierRuns();
  #standing: Standing | undefined;
  #phase: Phase | undefined;
  #forgetData = (): void => {};
  #closed: Promise<void> | undefined;

  constructor(emit: (event: TrainingEvent) => void) {
    this.#emit = emit;
  }

  /** Settings of the next run on an open server, which the page starts at once; undefined before the server is open. */
  get settings(): NetworkSettings | undefined {
    const settings = this.#standing?.settings;
    return settings && { ...settings, listen: { ...settings.listen, waitForStart: false } };
  }

  /** Starts local workers, which load while their run is prepared; an open server keeps its workers from run to run. */
  startWorkers(setup: LocalWorkersSetup): void {
    if (!this.#standing) this.#local.start(setup);
  }

  /** Opens the server, unless it is open. @throws ConfigurationError if it cannot listen */
  async open(settings: NetworkSettings): Promise<Standing> {
    this.#standing ??= await openStanding(settings, this.#emit);
    return this.#standing;
  }

  /**
   * Accepts uploads on an open server until an owner starts a run on one. The files stay until `forgetData`, for
   * another run.
   * @throws AbortError if the signal is aborted before that
   */
  async receiveData(settings: NetworkSettings, { signal, ...request }: DataRequest): Promise<Prepared> {
    const standing = await this.open(settings);
    signal.throwIfAborted();
    void removeLeftBehind();
    return new Promise((resolve, reject) => {
      const onStart = (prepared: Prepared): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(prepared);
      };
      const { phase, forgetData } = lobbyPhase(standing, { ...request, onStart });
      const onAbort = (): void => {
        forgetData();
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort);
      this.#forgetData = forgetData;
      this.#use(phase);
    });
  }

  forgetData(): void {
    this.#forgetData();
  }

  /**
   * Serves a run from now on, replacing the previous handlers.
   * @throws ConfigurationError if the server cannot listen
   */
  async attach(serving: Serving): Promise<AttachedRun> {
    const { run, prepared, emit } = serving;
    const { listen, token, code, adminToken, tls } = prepared;
    const standing = await this.open({ listen, token, code, adminToken, tls });
    const { dashboard, phase } = runPhase(serving, standing, this.#earlierRuns);
    this.#earlierRuns.begin(() => dashboard.earlierRun());
    this.#use(phase);
    this.#local.use(prepared, localAddress(standing.addresses, token, tls), {
      log: (message) => emit({ type: 'warning', message }),
      onAllFailed() {
        // Workers that fail before the first step would fail again; another worker can begin without them.
        if (run.state.phase === 'waiting' && run.state.connections.size === 0) run.stop('no local worker could start');
      },
    });
    return {
      dashboard,
      traffic: phase.traffic,
      turnedAway: () => ({ ...standing.door.turnedAway }),
      stop: async () => {
        if (!listen.stay) await this.#local.stop();
      },
      close: async () => {
        await dashboard.lastEvaluation();
        phase.close(endCode, 'the coordinator ends');
      },
    };
  }

  /**
   * Closes everything, in this order: viewers get the final state of the run and all sockets are asked to close; local
   * workers end; the server stops listening, and cuts connections that do not end by themselves; uploaded files are
   * removed.
   */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#phase?.close(endCode, 'the coordinator ends');
      await this.#local.stop();
      await this.#standing?.server.close();
      this.forgetData();
    })();
    return this.#closed;
  }

  #use(phase: Phase): void {
    this.#phase?.close(restartCode, 'another run begins');
    this.#phase = phase;
    this.#standing?.server.use(phase);
  }
}

/** A listening server and its tokens. */
type Standing = Awaited<ReturnType<typeof openStanding>>;

async function openStanding(settings: NetworkSettings, emit: (event: TrainingEvent) => void) {
  const { listen, token, code, adminToken, tls } = settings;
  const { host, server: given, path = '' } = listen;
  const turnedAway = newTurnedAwayCounts();
  const tell = (message: string): void => emit({ type: 'note', message });
  const options = { host, allowedOrigins: listen.allowOrigins ?? [], turnedAway, tell };
  const server = given ? attachServer(given, path, options) : await openServer({ ...options, port: listen.port, tls });
  const { port } = server;
  const shown = { token, adminToken, tls: given && hasTls(given) ? {} : tls };
  const listening = listeningEvent(shown, host, port, given ? port : listen.port, path);
  emit(listening);
  const { addresses } = listening;
  const guesses = new Guesses(systemClock);
  const door: Door = { token, code, guesses, turnedAway };
  const publicView = listen.publicView ?? false;
  return {
    ...{ server, settings, addresses, door },
    /** Addresses for people, without secrets: for tabs, and for Node workers. */
    joinAddresses: [addresses.page.replace(/#.*/, ''), addresses.worker],
    permission: new Permission({ ...door, adminToken, publicView }),
    /** Workers that arrive while there is no run. */
    waiting: new WaitingWorkers(systemClock, token),
  };
}

/** Handlers that serve for a while: before a run, or for a run. */
type Phase = ReturnType<typeof openPhase>;

function openPhase(
  { server, door, permission }: Standing,
  sockets: Omit<SocketOptions, keyof Door>,
  pages: PageOptions,
  onClose: () => void,
) {
  const { upgrade, traffic, close } = createSockets({ ...door, ...sockets }, server.connections);
  const metricsFault: PageOptions['metricsFault'] = (token, request) =>
    permission.metricsFault(token, clientOf(request, door.token));
  let isClosed = false;
  return {
    ...{ upgrade, traffic, answer: createPages({ ...pages, metricsFault }) },
    /** Asks the phase's sockets to close. */
    close(code: number, reason: string): void {
      if (isClosed) return;
      isClosed = true;
      onClose();
      close(code, reason);
    },
  };
}

function runPhase(serving: Serving, standing: Standing, earlierRuns: EarlierRuns) {
  const { run, recorder, prepared, emit } = serving;
  const { permission, door, joinAddresses, waiting } = standing;
  const { listen } = prepared;
  const { turnedAway } = door;
  const dashboard = new Dashboard({
    ...serving,
    ...{ permission, earlierRuns, joinAddresses, turnedAway, joinCode: door.code },
    // A failure of the dashboard does not end the run.
    onError: (error) => emit({ type: 'warning', message: `the dashboard failed: ${toMessageText(String(error))}` }),
  });
  const onConnection = (transport: CoordinatorTransport, address: string): void => {
    if (listen.stay && hasEnded(run.state)) waiting.turnAway(transport, 'the run is over, and another may follow');
    else run.connect(transport, address);
  };
  const phase: Phase = openPhase(
    standing,
    {
      ...{ ...runSizes(run.state.setup), onConnection },
      onViewer: (socket, visit) => dashboard.addViewer(socket, visit),
    },
    {
      health: () => ({ status: 'ok', phase: run.state.phase }),
      metrics: createMetrics({
        ...{ run, record: recorder.data, turnedAway },
        viewers: () => dashboard.figures,
        traffic: () => phase.traffic(),
      }),
    },
    () => dashboard.close(),
  );
  return { dashboard, phase };
}

const refreshEveryMs = 1_000;

interface DataRequest extends Pick<LobbyOptions, 'seed' | 'model' | 'prepare'> {
  readonly signal: AbortSignal;
}

/** The page and the sockets before a run: its viewers see the upload, and workers that come early wait. */
function lobbyPhase(standing: Standing, request: Pick<LobbyOptions, 'seed' | 'model' | 'prepare' | 'onStart'>) {
  const { server, permission, door, waiting, settings, joinAddresses } = standing;
  const { listen, token } = settings;
  const message = (): WatchMessageOf<'dataSetup'> => ({
    ...{ type: 'dataSetup', version, joinAddresses },
    workerCommand: listen.workerCommand ?? defaultWorkerCommand,
    tokenNeeded: token !== undefined,
    ...lobby.state,
  });
  const { nowMs } = systemClock;
  const lobby = new Lobby({ ...request, nowMs, onChange: () => viewers.broadcast(message()) });
  const viewers = new Viewers({
    ...{ permission, turnedAway: door.turnedAway },
    snapshot: () => [message()],
    reply: (asked) => lobby.reply(asked),
  });
  const timer = setInterval(() => {
    viewers.refresh();
    viewers.broadcast({ type: 'alive' });
  }, refreshEveryMs);
  timer.unref();
  const phase = openPhase(
    standing,
    {
      ...helloSizes,
      onConnection: (transport) =>
        waiting.turnAway(transport, 'the run waits for its data, which the owner uploads on the page'),
      onViewer: (socket, visit) => viewers.add(socket, visit),
    },
    {
      health: () => ({ status: 'ok', phase: 'waiting' }),
      // There is no run to measure.
      metrics: async () => ({ contentType: 'text/plain; charset=utf-8', text: '' }),
      upload: createUploadAnswer(
        lobby,
        (given) => permission.adminFault(given),
        ({ socket }) => server.connections.settle(socket),
      ),
    },
    () => clearInterval(timer),
  );
  return { phase, forgetData: () => lobby.dispose() };
}

/**
 * The server of a run with everything that persists across runs: workers of this machine, the lobby before the first
 * run, the attached run with its viewers, and the record of earlier runs.
 */

import type { ParameterServer } from '@lockstep/compute';
import { bytesPerSample } from '@lockstep/data';
import { parameterCount } from '@lockstep/nn';
import { toMessageText } from '@lockstep/protocol';
import type { Limits } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import type { Run } from '../coordinator/run.ts';
import { Dashboard } from '../dashboard/dashboard.ts';
import { EarlierRuns } from '../dashboard/messages.ts';
import type { OnRunAgain } from '../dashboard/permission.ts';
import type { ViewerLimits } from '../dashboard/viewers.ts';
import type { ListeningEvent, TrainingEvent } from '../events.ts';
import type { LocalWorkersSetup, NetworkSettings, Prepared } from '../prepared.ts';
import type { Recorder } from '../record/recorder.ts';
import type { WorkerPool } from '../worker-pool.ts';
import { clientOf } from './connections.ts';
import { type DataRequest, openLobby } from './lobby.ts';
import { LocalWorkers } from './local-workers.ts';
import { createMetrics, createPages, pageFolder } from './pages.ts';
import { openStanding, type Phase, type Standing } from './server.ts';
import { createSockets, restartCode } from './sockets.ts';

/** A run to be served by its site. */
export interface Serving {
  readonly run: Run;
  readonly limits: Limits;
  readonly parameterServer: ParameterServer;
  readonly backend: HostBackend;
  readonly prepared: Prepared & Pick<NetworkSettings, 'listen'>;
  readonly recorder: Recorder;
  readonly emit: (event: TrainingEvent) => void;
  /** Omitted if the server does not stay. */
  readonly onRunAgain: OnRunAgain | undefined;
  readonly viewerLimits?: Partial<ViewerLimits> | undefined;
}

export class Site {
  readonly #emit: (event: ListeningEvent) => void;
  readonly #local = new LocalWorkers();
  readonly #earlierRuns = new EarlierRuns();
  #standing: Standing | undefined;
  #phase: Phase | undefined;
  #forgetData = (): void => {};
  #closed: Promise<void> | undefined;

  constructor(emit: (event: ListeningEvent) => void) {
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
  async receiveData(settings: NetworkSettings, request: DataRequest): Promise<Prepared> {
    const standing = await this.open(settings);
    const lobby = openLobby(standing, request);
    this.#forgetData = lobby.forgetData;
    this.#use(lobby.phase);
    return lobby.prepared;
  }

  /** Removes the uploaded files. */
  forgetData(): void {
    this.#forgetData();
  }

  /**
   * Serves a run from now on, replacing the previous handlers.
   * @throws ConfigurationError if the server cannot listen
   */
  async attach(serving: Serving): Promise<AttachedRun> {
    const { run, prepared, emit } = serving;
    const { listen, token, code, adminToken, tls, backend, threads, workers } = prepared;
    const standing = await this.open({ listen, token, code, adminToken, tls });
    const dashboard = this.#createDashboard(serving, standing);
    const { phase, traffic } = runPhase(serving, standing, dashboard);
    this.#earlierRuns.begin(() => dashboard.earlierRun());
    this.#use(phase);
    this.#local.use(
      { count: workers, backend, threads },
      { url: standing.addresses.local, token, fingerprint: tls?.fingerprint },
      {
        log: (message) => emit({ type: 'warning', message }),
        onAllFailed() {
          // Workers that fail before the first step would fail again; another worker can begin without them.
          if (run.state.phase === 'waiting' && run.state.connections.size === 0)
            run.stop('no local worker could start');
        },
      },
    );
    return {
      dashboard,
      traffic,
      turnedAway: () => standing.door.turnedAway.total(),
      stop: async () => {
        if (!listen.stay) await this.#local.stop();
      },
      close: async () => phase.close(endCode, 'the coordinator ends'),
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

  #createDashboard(serving: Serving, { permission, door, joinAddresses }: Standing): Dashboard {
    const { run, recorder, parameterServer, backend, prepared, emit, onRunAgain, viewerLimits } = serving;
    const earlierRuns = this.#earlierRuns;
    return new Dashboard({
      ...{ run, recorder, parameterServer, backend, prepared, permission, earlierRuns, joinAddresses },
      ...{ onRunAgain, viewerLimits, saveTo: prepared.listen.saveTo },
      onFull: () => door.turnedAway.count('full'),
      // A failure of the dashboard does not end the run.
      onError: (error) => emit({ type: 'warning', message: `the dashboard failed: ${toMessageText(String(error))}` }),
    });
  }
}

/** The workers of a run on a site, and its viewers. */
export interface AttachedRun extends WorkerPool {
  readonly dashboard: Dashboard;
}

/** WebSocket's close code for a server that goes away. */
const endCode = 1001;

/** The page and the sockets of a run. */
function runPhase(serving: Serving, standing: Standing, dashboard: Dashboard) {
  const { run, limits, recorder, prepared } = serving;
  const { server, door, permission, waiting } = standing;
  const { plan, train, token, listen } = prepared;
  const sockets = createSockets(
    {
      ...door,
      maxFrameBytes: limits.maxFrameBytes,
      vectorBytes: parameterCount(prepared.model) * 4,
      chunkBytes: limits.chunkBytes,
      batchBytes: plan.batch * bytesPerSample(train),
      heartbeatMs: limits.heartbeatMs,
      onConnection(transport, address) {
        const { phase } = run.state;
        const hasEnded = phase === 'finished' || phase === 'failed';
        if (listen.stay && hasEnded) waiting.turnAway(transport, 'the run is over, and another may follow');
        else run.connect(transport, address);
      },
      onViewer: (socket, visit) => dashboard.addViewer(socket, visit),
    },
    server.connections,
  );
  const { traffic, upgrade, checkOrigin } = sockets;
  const answer = createPages({
    folder: pageFolder,
    health: () => ({ status: 'ok', phase: run.state.phase }),
    metrics: createMetrics({
      run,
      record: recorder.data,
      dashboard,
      traffic,
      turnedAway: () => door.turnedAway.total(),
    }),
    metricsFault: (given, request) => permission.metricsFault(given, clientOf(request, token)),
  });
  let isClosed = false;
  const phase: Phase = {
    ...{ answer, upgrade, checkOrigin },
    close(code, reason) {
      if (isClosed) return;
      isClosed = true;
      dashboard.close();
      sockets.close(code, reason);
    },
  };
  return { phase, traffic };
}

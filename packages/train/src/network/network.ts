/** Runs the training over the network: its page and sockets on a server, and the local workers. */
import { bytesPerSample } from '@lockstep/data';
import { parameterCount } from '@lockstep/nn';
import type { CoordinatorState, Limits, Run } from '@lockstep/training';
import type { Dashboard } from '../dashboard/dashboard.ts';
import type { TrainingEvent } from '../events.ts';
import { clientOf } from '../guard/source-address.ts';
import { createMetrics } from '../http/metrics.ts';
import { createSite } from '../http/site.ts';
import { restartCode } from '../http/upgrade.ts';
import type { Prepared } from '../prepared.ts';
import type { Recorder } from '../record/recorder.ts';
import type { WorkerPool } from '../run/worker-pool.ts';
import { siteFolder } from './site-folder.ts';
import { createSockets } from './sockets.ts';
import type { StandingServer } from './standing-server.ts';

export interface NetworkOptions {
  readonly run: Run;
  readonly recorder: Recorder;
  readonly limits: Limits;
  readonly prepared: Prepared;
  readonly dashboard: Dashboard;
  readonly emit: (event: TrainingEvent) => void;
  readonly server: StandingServer;
}

const waitsForNext = 'the run is over, and another may follow';

/** The server stays when the pool is closed. */
export function startNetwork(network: NetworkOptions): WorkerPool {
  const { run, prepared, dashboard, emit, server } = network;
  const { token, tls, backend, threads } = prepared;
  const { addresses, gate } = server;
  dashboard.joinAddresses = server.joinAddresses;
  const sockets = startSockets(network);
  const { local } = server;
  local.use(
    { count: prepared.workers, backend, threads },
    { url: addresses.local, token, fingerprint: tls?.fingerprint },
    {
      log: (message) => emit({ type: 'warning', message }),
      onAllFailed() {
        // Workers that fail before the first step would fail again; another worker can begin without them.
        if (run.state.phase === 'waiting' && run.state.connections.size === 0) run.stop('no local worker could start');
      },
    },
  );
  return {
    traffic: () => sockets.traffic(),
    turnedAway: () => gate.turnedAway.total(),
    async stop() {
      if (!prepared.listen?.stay) await local.stop();
    },
    async close() {
      dashboard.close();
      sockets.close();
    },
  };
}

function startSockets({ run, recorder, limits, prepared, dashboard, server }: NetworkOptions) {
  const { plan, train, token } = prepared;
  const { code, guesses, permission, turnedAway } = server.gate;
  const { host, allowOrigins } = server.settings.listen;
  const sockets = createSockets(
    {
      host,
      secure: server.secure,
      maxFrameBytes: limits.maxFrameBytes,
      vectorBytes: parameterCount(prepared.model) * 4,
      chunkBytes: limits.chunkBytes,
      batchBytes: plan.batch * bytesPerSample(train),
      heartbeatMs: limits.heartbeatMs,
      allowedOrigins: allowOrigins ?? [],
      ...{ token, code, guesses, turnedAway },
      onConnection(transport, address) {
        if (prepared.listen?.stay && hasEnded(run.state)) server.waiting.turnAway(transport, waitsForNext);
        else run.connect(transport, address);
      },
      onViewer: (socket, visit) => dashboard.addViewer(socket, visit),
    },
    server.connections,
  );
  const answer = createSite({
    folder: siteFolder,
    health: () => ({ status: 'ok', phase: run.state.phase }),
    metrics: createMetrics({
      ...{ run, record: recorder.data, dashboard, traffic: sockets.traffic },
      turnedAway: () => turnedAway.total(),
    }),
    metricsFault: (given, request) => permission.metricsFault(given, clientOf(request, token)),
  });
  const leave = (): void => {
    dashboard.close();
    sockets.close(restartCode, 'another run begins');
  };
  server.use({ answer, upgrade: sockets.upgrade, checkOrigin: sockets.checkOrigin, leave });
  return sockets;
}

function hasEnded({ phase }: CoordinatorState): boolean {
  return phase === 'finished' || phase === 'failed';
}

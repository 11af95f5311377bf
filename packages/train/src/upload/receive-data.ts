/** Stands on a server until an owner starts a run on uploaded data: the page, its viewers, and workers that come early. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { defaultLimits } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { ownerMessage } from '../dashboard/admin-permission.ts';
import { defaultWorkerCommand } from '../dashboard/messages.ts';
import { Viewers } from '../dashboard/viewers.ts';
import { clientOf } from '../guard/source-address.ts';
import type { DataRequest } from '../host.ts';
import { createSite } from '../http/site.ts';
import { restartCode } from '../http/upgrade.ts';
import type { Handlers } from '../network/shared-server.ts';
import { siteFolder } from '../network/site-folder.ts';
import { createSockets } from '../network/sockets.ts';
import type { StandingServer } from '../network/standing-server.ts';
import type { Prepared } from '../prepared.ts';
import { version } from '../version.ts';
import { DataSetup, type DataSetupOptions } from './data-setup.ts';
import { removeLeftBehind } from './left-behind.ts';
import { createUploadAnswer } from './upload-requests.ts';

const refreshEveryMs = 1_000;
/** A worker sends nothing but its `hello`. */
const maxFrameBytes = 64 * 1024;
const waitsForData = 'the run waits for its data, which its owner brings on the page';

interface ReceivedData {
  readonly prepared: Prepared;
  /** Removes the uploaded files. */
  readonly dispose: () => void;
}

/** @throws AbortError where the signal is aborted before a run is started */
export async function receiveData(server: StandingServer, { signal, ...request }: DataRequest): Promise<ReceivedData> {
  signal.throwIfAborted();
  void removeLeftBehind();
  let onAbort = (): void => {};
  let setup: DataSetup | undefined;
  try {
    const prepared = await new Promise<Prepared>((resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort);
      setup = standOn(server, { ...request, onStart: resolve });
    });
    return { prepared, dispose: () => setup?.dispose() };
  } catch (error) {
    setup?.dispose();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function standOn(server: StandingServer, request: Pick<DataSetupOptions, 'seed' | 'prepare' | 'onStart'>): DataSetup {
  const { permission, turnedAway } = server.gate;
  const setup = new DataSetup({
    ...request,
    nowMs: systemClock.nowMs,
    onChange: () => viewers.broadcast(messageOf(server, setup)),
  });
  const viewers = new Viewers({
    nowMs: systemClock.nowMs,
    welcome: (hello, client, onWelcome) => permission.welcome(hello, client, onWelcome),
    onFull: () => turnedAway.count('full'),
    snapshot: () => [messageOf(server, setup)],
    onWelcome: (sendSnapshot) => sendSnapshot(),
    onMessage(message, viewer) {
      const asked = ownerMessage(message, viewer, permission);
      const result = asked && setup.meet(asked);
      if (result?.type === 'refused') viewer.send({ type: 'refused', message: result.message });
    },
  });
  server.use(handlersOf(server, setup, viewers));
  return setup;
}

function handlersOf(server: StandingServer, setup: DataSetup, viewers: Viewers): Handlers {
  const { settings, secure, gate, connections } = server;
  const { code, guesses, permission, turnedAway } = gate;
  const { token, listen } = settings;
  const sockets = createSockets(
    {
      host: listen.host,
      ...{ secure, maxFrameBytes, token, code, guesses, turnedAway },
      // Before the run there is nothing to ask a worker for.
      ...{ vectorBytes: 0, chunkBytes: maxFrameBytes, batchBytes: 0, heartbeatMs: defaultLimits.heartbeatMs },
      allowedOrigins: listen.allowOrigins ?? [],
      onConnection: (transport) => server.waiting.turnAway(transport, waitsForData),
      onViewer: (socket, visit) => viewers.add(socket, visit),
    },
    connections,
  );
  const timer = setInterval(() => {
    viewers.refresh();
    viewers.broadcast({ type: 'alive' });
  }, refreshEveryMs);
  timer.unref();
  const answer = createSite({
    folder: siteFolder,
    health: () => ({ status: 'ok', phase: 'waiting' }),
    // There is no run to measure.
    metrics: async () => ({ contentType: 'text/plain; charset=utf-8', text: '' }),
    metricsFault: (given, request) => permission.metricsFault(given, clientOf(request, token)),
    upload: createUploadAnswer({
      target: setup,
      adminFault: (given) => permission.adminFault(given),
      onAdmitted: ({ socket }) => connections.settle(socket),
    }),
  });
  return {
    answer,
    upgrade: sockets.upgrade,
    checkOrigin: sockets.checkOrigin,
    leave() {
      clearInterval(timer);
      sockets.close(restartCode, 'the run begins');
    },
  };
}

function messageOf({ settings, joinAddresses }: StandingServer, { state }: DataSetup): WatchMessageOf<'dataSetup'> {
  const { listen, token } = settings;
  const { workerCommand = defaultWorkerCommand } = listen;
  return {
    type: 'dataSetup',
    version,
    joinAddresses: [...joinAddresses],
    workerCommand,
    tokenNeeded: token !== undefined,
    ...state,
  };
}

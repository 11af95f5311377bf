/** Stands on a server until an owner starts a run on uploaded data: the page, its viewers, and workers that come early. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { defaultLimits } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { ownerMessage } from '../dashboard/admin-permission.ts';
import { defaultWorkerCommand } from '../dashboard/messages.ts';
import { Viewers } from '../dashboard/viewers.ts';
import { clientOf } from '../guard/source-address.ts';
import type { OpenedDataset } from '@lockstep/data/readers';
import type { TrainingData } from '../options.ts';
import { createPages, pageFolder } from '../http/pages.ts';
import { createSockets } from '../network/sockets.ts';
import type { Prepared } from '../prepared.ts';
import { DataSetup } from '../upload/data-setup.ts';
import { removeLeftBehind } from '../upload/left-behind.ts';
import { createUploadAnswer } from '../upload/upload-requests.ts';
import { version } from '../version.ts';
import type { Phase, Standing } from './standing.ts';

const refreshEveryMs = 1_000;
/** A worker sends nothing but its `hello`. */
const maxFrameBytes = 64 * 1024;

export type UploadedData = OpenedDataset & Pick<TrainingData, 'splitBy'>;

export interface DataRequest {
  /** Splits data that have no samples to test with. */
  readonly seed: number;
  /** @throws ConfigurationError if there can be no such run on the data */
  readonly prepare: (data: UploadedData) => Promise<Prepared>;
  readonly signal: AbortSignal;
}

export interface Lobby {
  readonly phase: Phase;
  /** The run that an owner starts. Rejects with AbortError if the signal is aborted before that. */
  readonly prepared: Promise<Prepared>;
  /** Removes the uploaded files. */
  readonly forgetData: () => void;
}

export function openLobby(standing: Standing, { signal, ...request }: DataRequest): Lobby {
  const { permission, turnedAway } = standing;
  signal.throwIfAborted();
  void removeLeftBehind();
  let onStart = (_: Prepared): void => {};
  const setup: DataSetup = new DataSetup({
    ...request,
    nowMs: systemClock.nowMs,
    onChange: () => viewers.broadcast(messageOf(standing, setup)),
    onStart: (prepared) => onStart(prepared),
  });
  const prepared = new Promise<Prepared>((resolve, reject) => {
    const onAbort = (): void => {
      setup.dispose();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort);
    onStart = (run) => {
      signal.removeEventListener('abort', onAbort);
      resolve(run);
    };
  });
  const viewers = new Viewers({
    nowMs: systemClock.nowMs,
    welcome: (hello, client, onWelcome) => permission.welcome(hello, client, onWelcome),
    onFull: () => turnedAway.count('full'),
    snapshot: () => [messageOf(standing, setup)],
    onWelcome: (sendSnapshot) => sendSnapshot(),
    onMessage(message, viewer) {
      const asked = ownerMessage(message, viewer, permission);
      const result = asked && setup.meet(asked);
      if (result?.type === 'refused') viewer.send({ type: 'refused', message: result.message });
    },
  });
  return { phase: phaseOf(standing, setup, viewers), prepared, forgetData: () => setup.dispose() };
}

function phaseOf(standing: Standing, setup: DataSetup, viewers: Viewers): Phase {
  const { server, settings, secure, guesses, permission, turnedAway, waiting } = standing;
  const { connections } = server;
  const { token, code, listen } = settings;
  const sockets = createSockets(
    {
      host: listen.host,
      ...{ secure, maxFrameBytes, token, code, guesses, turnedAway },
      // Before the run there is nothing to ask a worker for.
      ...{ vectorBytes: 0, chunkBytes: maxFrameBytes, batchBytes: 0, heartbeatMs: defaultLimits.heartbeatMs },
      allowedOrigins: listen.allowOrigins ?? [],
      onConnection: (transport) =>
        waiting.turnAway(transport, 'the run waits for its data, which its owner brings on the page'),
      onViewer: (socket, visit) => viewers.add(socket, visit),
    },
    connections,
  );
  const timer = setInterval(() => {
    viewers.refresh();
    viewers.broadcast({ type: 'alive' });
  }, refreshEveryMs);
  timer.unref();
  const answer = createPages({
    folder: pageFolder,
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
    ...{ answer, upgrade: sockets.upgrade, checkOrigin: sockets.checkOrigin },
    close(code, reason) {
      clearInterval(timer);
      sockets.close(code, reason);
    },
  };
}

function messageOf({ settings, joinAddresses }: Standing, { state }: DataSetup): WatchMessageOf<'dataSetup'> {
  const { listen, token } = settings;
  return {
    type: 'dataSetup',
    version,
    joinAddresses: [...joinAddresses],
    workerCommand: listen.workerCommand ?? defaultWorkerCommand,
    tokenNeeded: token !== undefined,
    ...state,
  };
}

/** Files, sockets and processes of Node, for a run. */
import { toMessageText } from '@lockstep/protocol';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { requireCheckpointFolder } from '../checkpoint/folder.ts';
import { keptSecret } from '../checkpoint/kept-secret.ts';
import { openCheckpoints } from '../checkpoint/open.ts';
import { Dashboard } from '../dashboard/dashboard.ts';
import type { Host, Serving } from '../host.ts';
import { isLoopback } from '../http/addresses.ts';
import { openTls } from '../http/tls.ts';
import { portOf } from '../network/attached-server.ts';
import { startNetwork } from '../network/network.ts';
import { openStandingServer, type StandingServer } from '../network/standing-server.ts';
import { newSecret } from '../new-secret.ts';
import { type CheckpointOptions, defaultHost } from '../options.ts';
import type { WorkerPool } from '../run/worker-pool.ts';
import { receiveData } from '../upload/receive-data.ts';
import { BackgroundEvaluator } from './background-evaluator.ts';

export const nodeHost: Host = {
  requireCheckpointFolder,
  async prepareNetwork(listen, checkpoint) {
    const host = listen.host ?? (listen.server ? portOf(listen.server).address : defaultHost);
    const token = listen.token ?? (isLoopback(host) ? undefined : await newToken(checkpoint));
    const tls = listen.server ? undefined : await openTls(listen.tls, host, checkpoint);
    return { listen: { ...listen, host }, token, adminToken: newSecret(), tls };
  },
  openCheckpoints,
  createCheckpointer: (options) => new Checkpointer(options),
  createEvaluator: (setup, createInline) => new BackgroundEvaluator(setup, createInline),
  async serve(serving) {
    const server = await openStandingServer({ ...serving.prepared, listen: serving.listen }, serving.emit);
    const pool = serveOn(server, serving);
    return {
      ...pool,
      async close() {
        await pool.close();
        await server.close();
      },
    };
  },
  async stand(settings, emit) {
    const server = await openStandingServer(settings, emit);
    const prepareNetwork = async () => settings;
    return {
      host: { ...nodeHost, prepareNetwork, serve: async (serving) => serveOn(server, serving) },
      receiveData: (request) => receiveData(server, request),
      close: server.close,
    };
  },
};

function serveOn(server: StandingServer, serving: Serving): WorkerPool {
  const dashboard = createDashboard(serving, server);
  serving.observer.dashboard = dashboard;
  return startNetwork({ ...serving, server, dashboard });
}

/** The one from before, where the run is resumed: its workers know no other. */
function newToken(checkpoint: CheckpointOptions | undefined): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ checkpoint, fileName: 'join-token', isValid, create: newSecret });
}

function createDashboard(serving: Serving, { gate }: StandingServer): Dashboard {
  const { permission, turnedAway } = gate;
  const { run, parameterServer, backend, prepared, listen, checkpoints, emit } = serving;
  const { resumeFrom, resumed } = checkpoints ?? {};
  return new Dashboard({
    ...{ run, parameterServer, backend, prepared, permission, resumed },
    saveTo: listen.saveTo,
    onFull: () => turnedAway.count('full'),
    // A failure to show the run does not end it.
    onError: (error) => emit({ type: 'warning', message: `the dashboard failed: ${toMessageText(String(error))}` }),
    progressBefore: resumeFrom?.progress,
  });
}

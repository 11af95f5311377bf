/** Files, sockets and processes of Node, for a run. */
import { toMessageText } from '@lockstep/protocol';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { requireCheckpointFolder } from '../checkpoint/folder.ts';
import { keptSecret } from '../checkpoint/kept-secret.ts';
import { openCheckpoints } from '../checkpoint/open.ts';
import { Dashboard } from '../dashboard/dashboard.ts';
import type { Host, Serving } from '../host.ts';
import { bareHost, isLoopback } from '../http/addresses.ts';
import { openTls } from '../http/tls.ts';
import { portOf } from '../network/attached-server.ts';
import { LocalPool } from '../network/local-pool.ts';
import { startNetwork } from '../network/network.ts';
import { openStandingServer, type StandingServer } from '../network/standing-server.ts';
import { isJoinCode, newJoinCode } from '../new-join-code.ts';
import { newSecret } from '../new-secret.ts';
import { type CheckpointOptions, defaultHost } from '../options.ts';
import type { WorkerPool } from '../run/worker-pool.ts';
import { receiveData } from '../upload/receive-data.ts';
import { BackgroundEvaluator } from './background-evaluator.ts';

export const nodeHost: Host = {
  requireCheckpointFolder,
  async prepareNetwork(listen, checkpoint) {
    const host = bareHost(listen.host ?? (listen.server ? portOf(listen.server).address : defaultHost));
    const token = listen.token ?? (isLoopback(host) ? undefined : await newToken(checkpoint));
    const tls = listen.server ? undefined : await openTls(listen.tls, host, checkpoint);
    const code = token === undefined ? undefined : await newCode(checkpoint);
    return { listen: { ...listen, host }, token, code, adminToken: newSecret(), tls };
  },
  openCheckpoints,
  createCheckpointer: (options) => new Checkpointer(options),
  createEvaluator: (setup, createInline) => new BackgroundEvaluator(setup, createInline),
  serve: (serving) => serveOnOwn(serving),
  async stand(settings, emit) {
    const server = await openStandingServer(settings, emit);
    let dispose = (): void => {};
    return {
      host: hostOn(server),
      async receiveData(request) {
        const received = await receiveData(server, request);
        dispose = received.dispose;
        return received.prepared;
      },
      forgetData: () => dispose(),
      async close() {
        dispose();
        await server.close();
      },
    };
  },
  startWorkers(setup) {
    const local = new LocalPool();
    local.start(setup);
    return { host: { ...nodeHost, serve: (serving) => serveOnOwn(serving, local) }, close: () => local.stop() };
  },
};

/** On a server that is opened for it. @param local workers that were started before */
async function serveOnOwn(serving: Serving, local?: LocalPool): Promise<WorkerPool> {
  const { listen, emit } = serving;
  const { token, code, adminToken, tls } = serving.prepared;
  const server = await openStandingServer({ listen, token, code, adminToken, tls }, emit, local);
  return { ...serveOn(server, serving), closeServer: server.close };
}

/** What serves runs on a server, one after another. */
function hostOn(server: StandingServer): Host {
  const { settings } = server;
  // A button of the page begins each of them.
  const listen = { ...settings.listen, waitForStart: false };
  const host: Host = {
    ...nodeHost,
    prepareNetwork: async () => ({ ...settings, listen }),
    serve: async (serving) => serveOn(server, serving),
    // The server keeps its own from run to run.
    startWorkers: () => ({ host, close: async () => {} }),
  };
  return host;
}

function serveOn(server: StandingServer, serving: Serving): WorkerPool {
  const dashboard = createDashboard(serving, server);
  server.earlierRuns.begin(() => dashboard.earlierRun());
  return { ...startNetwork({ ...serving, server, dashboard }), host: hostOn(server) };
}

/** The one from before, where the run is resumed: its workers know no other. */
function newToken(checkpoint: CheckpointOptions | undefined): Promise<string> {
  const isValid = (token: string): boolean => /^[\w-]{22}$/.test(token);
  return keptSecret({ checkpoint, fileName: 'join-token', isValid, create: newSecret });
}

/** As the token: a tab that was let in by the code knows nothing else. */
function newCode(checkpoint: CheckpointOptions | undefined): Promise<string> {
  return keptSecret({ checkpoint, fileName: 'join-code', isValid: isJoinCode, create: newJoinCode });
}

function createDashboard(serving: Serving, { gate, earlierRuns }: StandingServer): Dashboard {
  const { permission, turnedAway } = gate;
  const { run, recorder, parameterServer, backend, prepared, listen, emit } = serving;
  return new Dashboard({
    ...{ run, recorder, parameterServer, backend, prepared, permission, earlierRuns },
    onRunAgain: serving.onRunAgain,
    saveTo: listen.saveTo,
    onFull: () => turnedAway.count('full'),
    // A failure to show the run does not end it.
    onError: (error) => emit({ type: 'warning', message: `the dashboard failed: ${toMessageText(String(error))}` }),
  });
}

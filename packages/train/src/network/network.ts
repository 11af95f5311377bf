/** Runs the training over the network: the server, its addresses, and the local workers. */
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { bytesPerSample } from '@lockstep/data';
import type { Limits, Run } from '@lockstep/training';
import type { Dashboard } from '../dashboard/dashboard.ts';
import type { TrainingEvent } from '../events.ts';
import { type Addresses, addressesOf } from '../http/addresses.ts';
import { createMetrics } from '../http/metrics.ts';
import { createSite } from '../http/site.ts';
import { defaultPort } from '../options.ts';
import type { Prepared } from '../prepared.ts';
import type { Traffic, WorkerPool } from '../run/worker-pool.ts';
import { attachServer } from './attached-server.ts';
import type { Gate } from './gate.ts';
import { LocalWorkers } from './local-workers.ts';
import { type CoordinatorServer, openServer, type ServerOptions } from './server.ts';

export interface NetworkOptions {
  readonly run: Run;
  readonly limits: Limits;
  readonly prepared: Prepared;
  readonly listen: NonNullable<Prepared['listen']>;
  readonly dashboard: Dashboard;
  readonly emit: (event: TrainingEvent) => void;
  readonly gate: Gate;
}

/** The page as it is built, in the package that has it. */
const siteFolder = join(dirname(createRequire(import.meta.url).resolve('@lockstep/web/package.json')), 'dist');

/** @throws ConfigurationError where it cannot listen */
export async function startNetwork(network: NetworkOptions): Promise<WorkerPool & { readonly addresses: Addresses }> {
  const { run, listen, prepared, dashboard, emit } = network;
  const { token, tls, backend, threads } = prepared;
  const server = await startServer(network);
  const { port } = server;
  const secure = listen.server ? (isSecure(listen.server) ? {} : undefined) : tls;
  const addresses = addressesOf({ ...prepared, tls: secure }, listen.host, port, listen.path);
  dashboard.joinAddresses = [addresses.page.replace(/#.*/, ''), addresses.worker];
  const { host } = listen;
  const wantedPort = listen.server ? port : (listen.port ?? defaultPort);
  emit({ type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint });

  const workers = new LocalWorkers({
    count: prepared.workers,
    url: addresses.local,
    token,
    fingerprint: tls?.fingerprint,
    backend,
    threads,
    log: (message) => emit({ type: 'warning', message }),
    onAllFailed() {
      // Workers that fail before the first step would fail again; another worker can begin without them.
      if (run.state.phase === 'waiting' && run.state.connections.size === 0) run.stop('no local worker could start');
    },
  });
  return {
    addresses,
    traffic: () => server.traffic(),
    turnedAway: () => network.gate.turnedAway.total(),
    stop: () => workers.stop(),
    async close() {
      dashboard.close();
      await server.close();
    },
  };
}

async function startServer(network: NetworkOptions): Promise<CoordinatorServer> {
  const { run, limits, listen, prepared, dashboard, gate } = network;
  const { plan, train, token, tls } = prepared;
  const { code, guesses, permission, turnedAway } = gate;
  const traffic = (): Traffic => server.traffic();
  const shared = {
    host: listen.host,
    maxFrameBytes: limits.maxFrameBytes,
    batchBytes: plan.batch * bytesPerSample(train),
    allowedOrigins: listen.allowOrigins ?? [],
    ...{ token, code, guesses, turnedAway },
    onConnection: (transport, address) => run.connect(transport, address),
    onViewer: (socket, visit) => dashboard.addViewer(socket, visit),
    answer: createSite({
      folder: siteFolder,
      health: () => ({ status: 'ok', phase: run.state.phase }),
      metrics: createMetrics({ run, dashboard, traffic, turnedAway: () => turnedAway.total() }),
      metricsFault: (given, address) => permission.watchFault(given, address),
    }),
  } satisfies Partial<ServerOptions>;
  const server: CoordinatorServer = listen.server
    ? attachServer({ ...shared, server: listen.server, path: listen.path ?? '', secure: isSecure(listen.server) })
    : await openServer({ ...shared, port: listen.port, defaultPort, tls });
  return server;
}

function isSecure(server: Server): boolean {
  return 'setSecureContext' in server;
}

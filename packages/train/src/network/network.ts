/** Runs the training over the network: the server, its addresses, and the local workers. */
import { join } from 'node:path';
import type { Limits, Run } from '@lockstep/training';
import type { Dashboard } from '../dashboard/dashboard.ts';
import { type Addresses, addressesOf } from '../http/addresses.ts';
import { createMetrics } from '../http/metrics.ts';
import { createSite } from '../http/site.ts';
import { defaultPort } from '../options.ts';
import type { Prepared } from '../prepared.ts';
import type { Traffic, WorkerPool } from '../run/worker-pool.ts';
import type { Gate } from './gate.ts';
import { installedFolder } from './installed-folder.ts';
import { LocalWorkers } from './local-workers.ts';
import { type CoordinatorServer, openServer } from './server.ts';

export interface NetworkOptions {
  readonly run: Run;
  readonly limits: Limits;
  readonly prepared: Prepared;
  readonly listen: NonNullable<Prepared['listen']>;
  readonly dashboard: Dashboard;
  readonly log: (line: string) => void;
  readonly onListening: (listening: Listening) => void;
  readonly gate: Gate;
}

/** A server that can be joined. */
export interface Listening {
  readonly addresses: Addresses;
  readonly port: number;
}

const siteFolder = join(installedFolder('@lockstep/web'), 'dist');

/** @throws ConfigurationError where it cannot listen */
export async function startNetwork(network: NetworkOptions): Promise<WorkerPool & { readonly addresses: Addresses }> {
  const { run, listen, prepared, dashboard, log } = network;
  const { token, tls, backend, threads } = prepared;
  const server = await startServer(network);
  const { port } = server;
  const addresses = addressesOf(prepared, listen.host, port);
  dashboard.joinAddresses = addresses.open;
  network.onListening({ addresses, port });

  const workers = new LocalWorkers({
    count: prepared.workers,
    url: addresses.local,
    token,
    fingerprint: tls?.fingerprint,
    backend,
    threads,
    log,
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
  const { guesses, permission, turnedAway } = gate;
  const traffic = (): Traffic => server.traffic();
  const server: CoordinatorServer = await openServer({
    host: listen.host,
    port: listen.port,
    defaultPort,
    maxFrameBytes: limits.maxFrameBytes,
    batchBytes: plan.batch * train.rows * train.columns,
    tls,
    allowedOrigins: listen.allowOrigins ?? [],
    token,
    guesses,
    turnedAway,
    onConnection: (transport, address) => run.connect(transport, address),
    onViewer: (socket, visit) => dashboard.addViewer(socket, visit),
    answer: createSite({
      folder: siteFolder,
      health: () => ({ status: 'ok', phase: run.state.phase }),
      metrics: createMetrics({ run, dashboard, traffic, turnedAway: () => turnedAway.total() }),
      metricsFault: (given, address) => permission.watchFault(given, address),
    }),
  });
  return server;
}

/** Runs the training over the network: the server, its addresses, and the local workers. */
import { fileURLToPath } from 'node:url';
import { bytesPerSample } from '@lockstep/data';
import type { Limits, Run } from '@lockstep/training';
import { renderUnicodeCompact } from 'uqr';
import type { Dashboard } from './dashboard/dashboard.ts';
import type { Gate } from './gate.ts';
import { type Addresses, addressesOf } from './http/addresses.ts';
import { createMetrics } from './http/metrics.ts';
import { createSite } from './http/site.ts';
import { LocalWorkers } from './local-workers.ts';
import { type CoordinatorOptions, defaultPort } from './options.ts';
import { isLoopback, type Prepared } from './prepare.ts';
import { type CoordinatorServer, listen } from './server.ts';
import type { Traffic, WorkerPool } from './worker-pool.ts';

export interface NetworkOptions {
  readonly run: Run;
  readonly limits: Limits;
  readonly options: CoordinatorOptions;
  readonly prepared: Prepared;
  readonly dashboard: Dashboard;
  readonly log: (line: string) => void;
  readonly gate: Gate;
}

const siteFolder = fileURLToPath(new URL('../../web/dist', import.meta.url));

/** @throws CommandFailure with exit code 2 where it cannot listen */
export async function startNetwork(network: NetworkOptions): Promise<WorkerPool & { readonly addresses: Addresses }> {
  const { run, options, prepared, dashboard, log } = network;
  const { host, backend } = options;
  const { token, tls, threads } = prepared;
  const server = await startServer(network);
  const { port } = server;
  const addresses = addressesOf(prepared, host, port);
  dashboard.joinAddresses = addresses.open;
  if (options.port === undefined && port !== defaultPort) log(`Port ${defaultPort} is in use, listening on ${port}.`);
  for (const line of addressLines(addresses, prepared, host)) log(line);

  const workers = new LocalWorkers({
    count: options.workers,
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
  const { run, limits, options, prepared, dashboard, gate } = network;
  const { plan, train, token, tls } = prepared;
  const { guesses, permission, turnedAway } = gate;
  const traffic = (): Traffic => server.traffic();
  const server: CoordinatorServer = await listen({
    host: options.host,
    port: options.port,
    defaultPort,
    maxFrameBytes: limits.maxFrameBytes,
    batchBytes: plan.batch * bytesPerSample(train),
    tls,
    allowedOrigins: options['allow-origin'] ?? [],
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

/** One word as a shell takes it: zsh looks for files where a `?` stands, and `&` ends a command. */
function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Secrets are printed here and nowhere else: they are for the person at this terminal. */
function addressLines(addresses: Addresses, { tls, token }: Prepared, host: string): string[] {
  const lines = [
    `Join with: ${environmentOf(token)}npm run worker -- --url ${shellWord(addresses.worker)}`,
    `Join in a browser: ${addresses.page}`,
    `Dashboard: ${addresses.owner}`,
  ];
  if (tls?.fingerprint !== undefined) {
    const pairs = tls.fingerprint.toUpperCase().match(/../g) ?? [];
    lines.push(`The certificate was made for this run, so browsers warn; its SHA-256 is ${pairs.join(':')}`);
  }
  if (!isLoopback(host) && process.stdout.isTTY) lines.push('', renderUnicodeCompact(addresses.page));
  return lines;
}

/** Puts the token before a command, where no list of processes shows it. */
function environmentOf(token: string | undefined): string {
  return token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
}

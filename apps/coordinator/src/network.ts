/** A run over the network: listens, says where, starts the local workers, and lets people watch. */
import { fileURLToPath } from 'node:url';
import type { Limits, Run } from '@lockstep/training';
import { renderUnicodeCompact } from 'uqr';
import type { Dashboard } from './dashboard/dashboard.ts';
import { type Addresses, addressesOf } from './http/addresses.ts';
import type { SocketLimits } from './http/gate.ts';
import { createMetrics } from './http/metrics.ts';
import { createSite } from './http/site.ts';
import { startLocalWorkers } from './local-workers.ts';
import { type CoordinatorOptions, defaultPort } from './options.ts';
import { isLoopback, type Prepared } from './prepare.ts';
import { listen } from './server.ts';
import type { Workforce } from './worker-pool.ts';

export interface HireOptions {
  readonly run: Run;
  readonly limits: Limits;
  readonly options: CoordinatorOptions;
  readonly prepared: Prepared;
  readonly say: (line: string) => void;
  /** Other bounds than the usual ones. */
  readonly socketLimits?: Partial<SocketLimits> | undefined;
  /** Called once, when it is known where the run is. */
  readonly show: (addresses: Addresses) => Dashboard;
}

const siteFolder = fileURLToPath(new URL('../../web/dist', import.meta.url));

export async function hireOverNetwork(hire: HireOptions): Promise<Workforce> {
  const { run, limits, options, prepared, say } = hire;
  const { host } = options;
  const { token, adminToken, tls } = prepared;
  let dashboard: Dashboard | undefined;
  const metrics = createMetrics({
    state: () => run.state,
    traffic: () => server.traffic(),
    viewers: () => dashboard?.viewers ?? 0,
    queuedBytes: () => dashboard?.queuedBytes ?? 0,
    loss: () => dashboard?.loss,
    images: () => dashboard?.images ?? 0,
  });
  const server = await listen({
    host,
    port: options.port,
    defaultPort,
    maxFrameBytes: limits.maxFrameBytes,
    tls,
    socketLimits: hire.socketLimits ?? {},
    allowedOrigins: options['allow-origin'] ?? [],
    onConnection: (transport) => run.connect(transport),
    onViewer: (socket) => dashboard?.admit(socket),
    answer: createSite({
      folder: siteFolder,
      health: () => ({ status: 'ok', phase: run.state.phase }),
      metrics: () => metrics.read(),
    }),
  });
  const { port } = server;
  const addresses = addressesOf({
    host,
    port,
    secure: tls !== undefined,
    token,
    adminToken,
    fingerprint: tls?.fingerprint,
  });
  dashboard = hire.show(addresses);
  if (options.port === undefined && port !== defaultPort) say(`Port ${defaultPort} is in use, listening on ${port}.`);
  for (const line of greeting(addresses, prepared, host)) say(line);

  const workers = startLocalWorkers({
    count: options.workers,
    url: addresses.local,
    token,
    fingerprint: tls?.fingerprint,
    backend: options.backend,
    threads: options.threads,
    onExit({ name: worker, code, lastLine, running }) {
      say(
        `worker ${worker} ended (${code === null ? 'killed' : `exit code ${code}`})${lastLine === '' ? '' : `: ${lastLine}`}`,
      );
      // Whoever fails before the first step would fail again; a person has to know why.
      if (running === 0 && code !== null && run.state.phase === 'waiting') run.stop('no local worker could start');
    },
  });
  return {
    traffic: () => server.traffic(),
    dismiss: () => workers.stop(),
    async close() {
      dashboard?.close();
      await server.close();
    },
  };
}

/** The only place that secrets are printed: they are for whoever sits here. */
function greeting(addresses: Addresses, { tls }: Prepared, host: string): string[] {
  const lines = [
    `Join with: npm run worker -- --url ${addresses.worker}`,
    `Join in a browser: ${addresses.page}`,
    `Dashboard: ${addresses.owner}`,
  ];
  if (tls?.fingerprint !== undefined) {
    const pairs = tls.fingerprint.toUpperCase().match(/../g) ?? [];
    lines.push(`The certificate was made on the spot, so browsers warn; its SHA-256 is ${pairs.join(':')}`);
  }
  if (!isLoopback(host) && process.stdout.isTTY) lines.push('', renderUnicodeCompact(addresses.page));
  return lines;
}

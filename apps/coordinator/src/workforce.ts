/** Who computes for a run: a worker inside this process, or whoever comes over the network. */
import { memoryPair, openChecksum } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import { createLocalCompute, type Limits, type Run, startSession } from '@lockstep/training';
import { clock, sha256 } from './assemble.ts';
import { startLocalWorkers } from './local-workers.ts';
import { type CoordinatorOptions, defaultPort } from './options.ts';
import { listen } from './server.ts';

export interface Workforce {
  traffic(): { readonly bytesSent: number; readonly bytesReceived: number };
  /** Ends everything that was started, and waits until it has ended. */
  stop(): Promise<void>;
}

/** One worker in this very thread: the same rules and the same sums, no sockets. */
export async function hireThisProcess(run: Run, backend: HostBackend): Promise<Workforce> {
  // Between messages, signals and the terminal have their turn.
  const pair = memoryPair({ schedule: (deliver) => void setImmediate(deliver) });
  const compute = createLocalCompute(backend, clock);
  const checksum = await openChecksum();
  run.connect(pair.coordinator);
  const identity = { kind: 'local', name: 'this process' } as const;
  const session = startSession({ transport: pair.worker, compute, identity, clock, checksum, hash: sha256 });
  return {
    traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
    async stop() {
      session.leave('the run has ended');
      await session.ended;
      await compute.close();
    },
  };
}

export interface HireOptions {
  readonly run: Run;
  readonly limits: Limits;
  readonly options: CoordinatorOptions;
  readonly token: string | undefined;
  readonly say: (line: string) => void;
}

/** Listens, says where, and starts the local workers that were asked for. */
export async function hireOverNetwork({ run, limits, options, token, say }: HireOptions): Promise<Workforce> {
  const { host } = options;
  const server = await listen({
    host,
    port: options.port,
    defaultPort,
    maxFrameBytes: limits.maxFrameBytes,
    onConnection: (transport) => run.connect(transport),
  });
  const { port } = server;
  if (options.port === undefined && port !== defaultPort) say(`Port ${defaultPort} is in use, listening on ${port}.`);
  const name = host.includes(':') ? `[${host}]` : host;
  const address = `ws://${isAnyAddress(host) ? 'THIS-MACHINE' : name}:${port}`;
  const secret = token === undefined ? '' : `/?token=${encodeURIComponent(token)}`;
  say(`Join with: npm run worker -- --url ${address}${secret}`);

  const workers = startLocalWorkers({
    count: options.workers,
    url: `ws://${isAnyAddress(host) ? '127.0.0.1' : name}:${port}`,
    token,
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
    async stop() {
      await Promise.all([workers.stop(), server.close()]);
    },
  };
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

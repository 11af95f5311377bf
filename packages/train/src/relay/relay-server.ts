/** The server of a relay: the page, its workers' sockets, and the way to the coordinator above for what belongs to the run. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parameterCount, parseModel } from '@lockstep/nn';
import { watchPath } from '@lockstep/protocol';
import { defaultLimits, type Relay, type RelayRun } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { ListeningEvent } from '../events.ts';
import { Guesses } from '../guard/guesses.ts';
import { clientOf } from '../guard/source-address.ts';
import { TurnedAwayCounter } from '../guard/turned-away.ts';
import { addressesOf } from '../http/addresses.ts';
import { type Answer, createPages, pageFolder } from '../http/pages.ts';
import type { Tls } from '../http/tls.ts';
import { rejectUpgrade } from '../http/upgrade.ts';
import { openServer, type SharedServer } from '../network/shared-server.ts';
import { createSockets } from '../network/sockets.ts';
import { defaultPort } from '../options.ts';
import type { Upstream } from './upstream.ts';

export interface RelayServerOptions {
  readonly host: string;
  /** Undefined: the first free one from the default port on. */
  readonly port: number | undefined;
  readonly token: string | undefined;
  readonly tls: Tls | undefined;
  readonly allowOrigins: readonly string[];
  readonly upstream: Upstream;
  readonly relay: () => Relay | undefined;
}

/** Before a run is known, a worker sends nothing but its `hello`. */
const helloFrameBytes = 64 * 1024;

export class RelayServer {
  readonly listening: ListeningEvent;
  readonly #options: RelayServerOptions;
  readonly #server: SharedServer;
  readonly #guesses = new Guesses(systemClock);
  readonly #turnedAway: TurnedAwayCounter;

  private constructor(options: RelayServerOptions, server: SharedServer, turnedAway: TurnedAwayCounter) {
    const { host, port: wanted, token, tls } = options;
    const { port } = server;
    this.#options = options;
    this.#server = server;
    this.#turnedAway = turnedAway;
    // Nothing is controlled here: the address of an owner is that of the coordinator.
    const addresses = addressesOf({ token, adminToken: '', tls }, host, port);
    const wantedPort = wanted ?? defaultPort;
    this.listening = { type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint };
    this.use(undefined);
  }

  /** @throws ConfigurationError where it cannot listen */
  static async open(options: RelayServerOptions): Promise<RelayServer> {
    const { host, port, tls } = options;
    const turnedAway = new TurnedAwayCounter();
    const server = await openServer({ host, port, defaultPort, tls, turnedAway });
    return new RelayServer(options, server, turnedAway);
  }

  /** Takes workers for a run from now on, within its limits on frames; before there is one, they are told to wait. */
  use(run: RelayRun | undefined): void {
    const { host, token, tls, allowOrigins: allowedOrigins, upstream, relay } = this.#options;
    const { connections } = this.#server;
    const sockets = createSockets(
      {
        ...{ host, token, allowedOrigins, guesses: this.#guesses, turnedAway: this.#turnedAway },
        secure: tls !== undefined,
        ...(run ? sizesOf(run) : noSizes),
        onConnection: (transport, address) => relay()?.accept(transport, address),
        // Passed on before it comes to that.
        onViewer: (socket) => socket.close(1011),
      },
      connections,
    );
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (pathOf(request) !== watchPath) {
        sockets.upgrade(request, socket, head);
        return;
      }
      const refusal = sockets.checkOrigin(request);
      if (refusal) rejectUpgrade(socket, refusal.status, refusal.message);
      else
        upstream.passUpgrade(request, clientOf(request, token), socket, head, () =>
          connections.settle(socket as Socket),
        );
    };
    this.#server.use({ answer: this.#answer(), upgrade, checkOrigin: sockets.checkOrigin });
  }

  async close(): Promise<void> {
    this.#options.upstream.close();
    await this.#server.close();
  }

  #answer(): Answer {
    const { token, upstream, relay } = this.#options;
    const site = createPages({
      folder: pageFolder,
      health: () => {
        const state = relay()?.run?.run.state;
        const workers = [...(state?.connections.values() ?? [])].filter(({ phase }) => phase === 'ready').length;
        return { status: 'ok', phase: state?.phase ?? 'waiting', workers };
      },
    });
    return (request, response) => {
      const reads = request.method === 'GET' || request.method === 'HEAD';
      if (reads && pathOf(request) === '/metrics') upstream.pass(request, clientOf(request, token), response);
      else site(request, response);
    };
  }
}

const noSizes = {
  maxFrameBytes: helloFrameBytes,
  vectorBytes: 0,
  chunkBytes: helloFrameBytes,
  batchBytes: 0,
  heartbeatMs: defaultLimits.heartbeatMs,
};

function sizesOf({ setup, sampleBytes }: RelayRun) {
  const { limits, model, plan } = setup;
  const { maxFrameBytes, chunkBytes, heartbeatMs } = limits;
  const vectorBytes = parameterCount(parseModel(model)) * 4;
  return { maxFrameBytes, chunkBytes, vectorBytes, batchBytes: plan.batch * sampleBytes, heartbeatMs };
}

function pathOf({ url = '/' }: IncomingMessage): string | undefined {
  return url.split('?')[0];
}

/** The server of a relay: the page, its workers' sockets, and a proxy to the coordinator above for everything else. */
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parameterCount, parseModel } from '@lockstep/nn';
import { watchPath } from '@lockstep/protocol';
import { systemClock } from '@lockstep/worker';
import { pinnedCertificate } from '@lockstep/worker/internal';
import type { ListeningEvent } from '../events.ts';
import { defaultPort } from '../options.ts';
import { addressesOf } from '../site/addresses.ts';
import { clientOf, relayHeaderNames, relayHeaders } from '../site/connections.ts';
import { Guesses, TurnedAwayCounter } from '../site/limiter.ts';
import { type Answer, createPages, pageFolder, sendText } from '../site/pages.ts';
import type { Tls } from '../site/secrets.ts';
import { openServer, type SharedServer } from '../site/server.ts';
import { createSockets, helloSizes, rejectUpgrade } from '../site/sockets.ts';
import type { Relay } from './relay-core.ts';
import type { RelayRun } from './relay-run.ts';

export interface RelayServerOptions {
  readonly host: string;
  /** Undefined for the first free port from the default port on. */
  readonly port: number | undefined;
  readonly token: string | undefined;
  readonly tls: Tls | undefined;
  readonly allowOrigins: readonly string[];
  readonly upstream: Upstream;
  readonly relay: () => Relay | undefined;
}

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
    // Nothing is controlled at a relay: owners use the coordinator's address.
    const addresses = addressesOf({ token, adminToken: '', tls }, host, port);
    const wantedPort = wanted ?? defaultPort;
    this.listening = { type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint };
    this.use(undefined);
  }

  /** @throws ConfigurationError if it cannot listen */
  static async open(options: RelayServerOptions): Promise<RelayServer> {
    const { host, port, tls } = options;
    const turnedAway = new TurnedAwayCounter();
    const server = await openServer({ host, port, defaultPort, tls, turnedAway });
    return new RelayServer(options, server, turnedAway);
  }

  /** From now on, admits workers for a run, within its limits on frames; without a run, they are told to wait. */
  use(run: RelayRun | undefined): void {
    const { host, token, tls, allowOrigins: allowedOrigins, upstream, relay } = this.#options;
    const { connections } = this.#server;
    const sockets = createSockets(
      {
        ...{ host, token, allowedOrigins, guesses: this.#guesses, turnedAway: this.#turnedAway },
        secure: tls !== undefined,
        ...(run ? sizesOf(run) : helloSizes),
        onConnection: (transport, address) => relay()?.accept(transport, address),
        // Not reached: viewers are proxied before.
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

function sizesOf({ setup, sampleBytes }: RelayRun) {
  const { limits, model, plan } = setup;
  const { maxFrameBytes, chunkBytes, heartbeatMs } = limits;
  const vectorBytes = parameterCount(parseModel(model)) * 4;
  return { maxFrameBytes, chunkBytes, vectorBytes, batchBytes: plan.batch * sampleBytes, heartbeatMs };
}

function pathOf({ url = '/' }: IncomingMessage): string | undefined {
  return url.split('?')[0];
}

/** Address of the coordinator above. */
interface UpstreamAddress {
  /** Address of its sockets, such as `ws://127.0.0.1:7070/`. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust. */
  readonly fingerprint?: string | undefined;
  /** Token for joining there. */
  readonly token?: string | undefined;
}

const unreached = 'the coordinator behind this relay does not answer';
const timeoutMs = 5_000;
/** Headers of one connection, and the page's origin, which this relay has checked. */
const ownHeaders = new Set([
  ...['host', 'origin', 'referer', 'cookie', 'forwarded', 'x-forwarded-for'],
  ...relayHeaderNames,
]);

export class Upstream {
  readonly #addressOf: () => UpstreamAddress | undefined;
  readonly #sockets = new Set<Duplex>();

  /** @param addressOf returns undefined while no coordinator is known */
  constructor(addressOf: () => UpstreamAddress | undefined) {
    this.#addressOf = addressOf;
  }

  /** Answers a client's request with the coordinator's answer; `client` is as in `clientOf`. */
  pass(incoming: IncomingMessage, client: string, response: ServerResponse): void {
    void this.#request(incoming, client).then(
      (outgoing) => {
        outgoing.on('response', (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        outgoing.on('error', () => failed(response));
        outgoing.end();
      },
      () => failed(response),
    );
  }

  /** Connects a viewer's socket to one of the coordinator's. @param onAccepted called if the coordinator accepts it */
  passUpgrade(incoming: IncomingMessage, client: string, socket: Duplex, head: Buffer, onAccepted: () => void): void {
    socket.on('error', () => socket.destroy());
    void this.#request(incoming, client).then(
      (outgoing) => {
        outgoing.on('upgrade', (answer, upstream, upstreamHead) => {
          onAccepted();
          upstream.setTimeout(0);
          socket.write(headOf(answer));
          this.#join(socket, upstream, [upstreamHead, head]);
        });
        outgoing.on('response', (answer) => {
          answer.resume();
          rejectUpgrade(socket, answer.statusCode ?? 502, 'the coordinator behind this relay refused the connection');
        });
        outgoing.on('error', () => rejectUpgrade(socket, 502, unreached));
        outgoing.end();
      },
      () => rejectUpgrade(socket, 502, unreached),
    );
  }

  /** Ends every viewer's socket. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #request({ url: path = '/', method = 'GET', headers }: IncomingMessage, client: string) {
    const address = this.#addressOf();
    if (!address) throw new Error(unreached);
    const { url, fingerprint, token } = address;
    const base = new URL(url);
    const isSecure = base.protocol === 'wss:';
    const trust = isSecure && fingerprint !== undefined ? await pinnedCertificate(base, fingerprint) : {};
    const kept = Object.entries(headers).filter(([name]) => !ownHeaders.has(name));
    const options: RequestOptions = {
      ...trust,
      host: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port || (isSecure ? 443 : 80),
      path: `${base.pathname.replace(/\/$/, '')}${path}`,
      ...{ method, timeout: timeoutMs },
      headers: { ...Object.fromEntries(kept), ...relayHeaders(client, token) },
    };
    const outgoing = isSecure ? secureRequest(options) : httpRequest(options);
    outgoing.on('timeout', () => outgoing.destroy(new Error(unreached)));
    return outgoing;
  }

  #join(socket: Duplex, upstream: Duplex, [fromUpstream, fromSocket]: readonly [Buffer, Buffer]): void {
    this.#sockets.add(socket);
    upstream.on('error', () => upstream.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      upstream.destroy();
    });
    upstream.on('close', () => socket.destroy());
    socket.write(fromUpstream);
    upstream.write(fromSocket);
    upstream.pipe(socket);
    socket.pipe(upstream);
  }
}

function failed(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else sendText(response, 502, unreached);
}

/** The header lines that accepted an upgrade. */
function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

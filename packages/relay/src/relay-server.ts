/** The server of a relay: the page, its workers' sockets, and a proxy to the coordinator above for everything else. */
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { watchPath } from '@lockstep/protocol';
import { readyWorkers } from '@lockstep/record';
import {
  type Answer,
  bareHost,
  clientOf,
  createPages,
  createSockets,
  type Door,
  Guesses,
  helloSizes,
  listeningEvent,
  newTurnedAwayCounts,
  type OwnServerOptions,
  openServer,
  pathOf,
  rejectUpgrade,
  relayHeaderNames,
  relayHeaders,
  runSizes,
  sendText,
} from '@lockstep/server';
import { type FoundAddress, systemClock } from '@lockstep/worker';
import { pinnedCertificate } from '@lockstep/worker/internal';
import type { Relay } from './relay-core.ts';
import type { RelayRun } from './relay-run.ts';

interface RelayServerOptions extends Omit<OwnServerOptions, 'turnedAway'> {
  readonly token: string | undefined;
  readonly upstream: Upstream;
  readonly relay: () => Relay | undefined;
}

/** @throws ConfigurationError if it cannot listen */
export async function openRelayServer(options: RelayServerOptions) {
  const { host, port, token, tls, upstream, relay } = options;
  const door: Door = { token, guesses: new Guesses(systemClock), turnedAway: newTurnedAwayCounts() };
  const server = await openServer({ ...options, turnedAway: door.turnedAway });
  const { connections } = server;
  const site = createPages({
    health: () => {
      const state = relay()?.run?.run.state;
      return { status: 'ok', phase: state?.phase ?? 'waiting', workers: state ? readyWorkers(state) : 0 };
    },
  });
  const answer: Answer = (request, response) => {
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (reads && pathOf(request) === '/metrics') upstream.pass(request, clientOf(request, token), response);
    else site(request, response);
  };
  /** From now on, admits workers for a run, within its limits on frames; without a run, they are told to wait. */
  const use = (run: RelayRun | undefined): void => {
    const sockets = createSockets(
      {
        ...{ ...door, ...(run ? runSizes(run.setup) : helloSizes) },
        onConnection: (transport, address) => relay()?.accept(transport, address),
        // Not reached: viewers are proxied before.
        onViewer: (socket) => socket.close(1011),
      },
      connections,
    );
    const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const settle = (): void => connections.settle(socket as Socket);
      if (pathOf(request) !== watchPath) sockets.upgrade(request, socket, head);
      else upstream.passUpgrade(request, clientOf(request, token), socket, head, settle);
    };
    server.use({ answer, upgrade });
  };
  use(undefined);
  return {
    // Nothing is controlled at a relay: owners use the coordinator's address.
    listening: listeningEvent({ token, adminToken: '', tls }, host, server.port, port),
    use,
    async close(): Promise<void> {
      upstream.close();
      await server.close();
    },
  };
}

const unreached = 'the coordinator behind this relay does not answer';
const timeoutMs = 5_000;
/** Headers of one connection, and the page's origin, which this relay has checked. */
const ownHeaders = new Set([
  ...['host', 'origin', 'referer', 'cookie', 'forwarded', 'x-forwarded-for'],
  ...relayHeaderNames,
]);

/** A proxy to the coordinator above. */
export class Upstream {
  readonly #addressOf: () => FoundAddress | undefined;
  readonly #sockets = new Set<Duplex>();

  /** @param addressOf returns undefined while no coordinator is known */
  constructor(addressOf: () => FoundAddress | undefined) {
    this.#addressOf = addressOf;
  }

  /** Answers a client's request with the coordinator's answer; `client` is as in `clientOf`. */
  pass(incoming: IncomingMessage, client: string, response: ServerResponse): void {
    const onFailed = (): void => {
      if (response.headersSent) response.destroy();
      else sendText(response, 502, unreached);
    };
    void this.#request(incoming, client).then((outgoing) => {
      outgoing.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      outgoing.on('error', onFailed).end();
    }, onFailed);
  }

  /** Connects a viewer's socket to one of the coordinator's. @param onAccepted called if the coordinator accepts it */
  passUpgrade(incoming: IncomingMessage, client: string, socket: Duplex, head: Buffer, onAccepted: () => void): void {
    const onFailed = (): void => rejectUpgrade(socket, 502, unreached);
    void this.#request(incoming, client).then((outgoing) => {
      outgoing.on('upgrade', (answer, upstream, upstreamHead) => {
        onAccepted();
        upstream.setTimeout(0);
        socket.write(headOf(answer));
        socket.write(upstreamHead);
        upstream.write(head);
        this.#join(socket, upstream);
      });
      outgoing.on('response', (answer) => {
        answer.resume();
        rejectUpgrade(socket, answer.statusCode ?? 502, 'the coordinator behind this relay refused the connection');
      });
      outgoing.on('error', onFailed).end();
    }, onFailed);
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
      host: bareHost(base.hostname),
      port: base.port || (isSecure ? 443 : 80),
      path: `${base.pathname.replace(/\/$/, '')}${path}`,
      ...{ method, timeout: timeoutMs },
      headers: { ...Object.fromEntries(kept), ...relayHeaders(client, token) },
    };
    const outgoing = isSecure ? secureRequest(options) : httpRequest(options);
    outgoing.on('timeout', () => outgoing.destroy(new Error(unreached)));
    return outgoing;
  }

  #join(socket: Duplex, upstream: Duplex): void {
    this.#sockets.add(socket);
    upstream.on('error', () => upstream.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      upstream.destroy();
    });
    upstream.on('close', () => socket.destroy());
    upstream.pipe(socket);
    socket.pipe(upstream);
  }
}

/** The header lines that accepted an upgrade. */
function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

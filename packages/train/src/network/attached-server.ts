/** A run's page and sockets on an HTTP server that the caller has: what is not theirs goes on to the caller's handlers. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { configurationError, named } from '@lockstep/worker';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';
import { closeTimeoutMs, rejectUpgrade } from '../http/upgrade.ts';
import { Connections } from './connections.ts';
import { noHandlers, type SharedServer } from './shared-server.ts';

export interface AttachOptions {
  readonly server: Server;
  /** What the run's paths begin with, such as `/lockstep`; empty for none. */
  readonly path: string;
  readonly turnedAway: TurnedAwayCounter;
}

/** Where a server listens. @throws ConfigurationError where it does not, or on no port */
export function portOf(server: Server): { readonly address: string; readonly port: number } {
  const place = server.address();
  if (place === null || typeof place === 'string') {
    const got = place === null ? 'one that does not listen yet' : place;
    throw configurationError`${named('listen.server')}: expected a server that listens on a port, got ${got}`;
  }
  return place;
}

/** Its handlers must be there before; the server stays the caller's, and is as it was when the run has closed. */
export function attachServer({ server, path, turnedAway }: AttachOptions): SharedServer {
  const { port } = portOf(server);
  const connections = new Connections(turnedAway);
  let handlers = noHandlers;
  const others = intercept(server, {
    request(request, response, next) {
      const inner = within(path, request.url);
      if (inner === undefined) return next();
      if (inner === '') {
        response.writeHead(308, { location: `${path}/`, 'content-length': 0 }).end();
        return;
      }
      const { url } = request;
      request.url = inner;
      handlers.answer(request, response, () => {
        if (url !== undefined) request.url = url;
        next();
      });
    },
    upgrade(request, socket, head, next) {
      const inner = within(path, request.url);
      if (inner === undefined) return next();
      connections.add(socket as Socket);
      request.url = inner;
      handlers.upgrade(request, socket, head);
    },
  });
  return {
    port,
    connections,
    use(next) {
      handlers = next;
    },
    async close() {
      others.restore();
      await connections.cutUnless(connections.allClosed(), closeTimeoutMs);
    },
  };
}

/** What follows a path, from its slash on: empty for the path itself, undefined where the address is not below it. */
function within(path: string, url = '/'): string | undefined {
  if (!url.startsWith(path)) return undefined;
  const rest = url.slice(path.length);
  return rest === '' || rest.startsWith('/') ? rest : rest.startsWith('?') ? '' : undefined;
}

interface Intercepting {
  request(request: IncomingMessage, response: ServerResponse, next: () => void): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, next: () => void): void;
}

type Listener = (...args: unknown[]) => void;

/** Puts handlers before those that a server has. */
function intercept(server: Server, handlers: Intercepting): { restore(): void } {
  const before = { request: server.listeners('request'), upgrade: server.listeners('upgrade') };
  const pass = (event: keyof typeof before, args: unknown[]): void => {
    for (const listener of before[event]) (listener as Listener).apply(server, args);
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
    handlers.request(request, response, () => {
      if (before.request.length > 0) pass('request', [request, response]);
      else response.writeHead(404).end();
    });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
    handlers.upgrade(request, socket, head, () => {
      if (before.upgrade.length > 0) pass('upgrade', [request, socket, head]);
      else rejectUpgrade(socket, 404, 'there is nothing at this address');
    });
  const ours = { request: onRequest, upgrade: onUpgrade };
  for (const event of ['request', 'upgrade'] as const) {
    server.removeAllListeners(event);
    server.on(event, ours[event] as Listener);
  }
  return {
    restore() {
      for (const event of ['request', 'upgrade'] as const) {
        server.off(event, ours[event] as Listener);
        for (const listener of before[event]) server.on(event, listener as Listener);
      }
    },
  };
}

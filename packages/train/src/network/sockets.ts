/** The sockets of workers and viewers on a server, and who may open one. */
import type { IncomingMessage } from 'node:http';
import type { CoordinatorTransport } from '@lockstep/protocol';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import { GuardedTransport, type GuardOptions } from '../guard/guarded-transport.ts';
import { HandshakeRates } from '../guard/handshake-rates.ts';
import { sourceOf } from '../guard/source-address.ts';
import { TokenGuesses } from '../guard/token-guesses.ts';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';
import { answerSize, maxQueuedBytes } from '../guard/worker-limits.ts';
import { createOriginCheck } from '../http/origin.ts';
import { TrafficCounter } from '../http/traffic-counter.ts';
import { createUpgrades } from '../http/upgrade.ts';
import type { Connections } from './connections.ts';

export interface SocketOptions {
  /** The address that is listened on. */
  readonly host: string;
  /** Whether under TLS. */
  readonly secure: boolean;
  readonly maxFrameBytes: number;
  /** Of all parameters, and of a chunk of them. */
  readonly vectorBytes: number;
  readonly chunkBytes: number;
  /** Bytes of all samples of a step. */
  readonly batchBytes: number;
  readonly heartbeatMs: number;
  /** Origins of pages that may open sockets, besides the coordinator's own. */
  readonly allowedOrigins?: readonly string[];
  /** The token that joining needs. */
  readonly token?: string | undefined;
  /** Stands for the token. */
  readonly code?: string | undefined;
  readonly guesses?: TokenGuesses;
  readonly turnedAway: TurnedAwayCounter;
  /** @param address what the worker's connections are counted by */
  readonly onConnection: (transport: CoordinatorTransport, address: string) => void;
  readonly onViewer: (socket: WebSocket, visit: Visit) => void;
}

/** A viewer's connection. */
export interface Visit {
  readonly address: string;
  /** To be called when the viewer has shown that it may watch; before that its socket may be cut for another one. */
  readonly settle: () => void;
}

export function createSockets(options: SocketOptions, connections: Connections) {
  const { maxFrameBytes, onViewer } = options;
  const check = createCheck(options);
  const traffic = new TrafficCounter();
  const guard = guardOptions(options);
  const transports = new Set<GuardedTransport>();
  const upgrades = createUpgrades({
    maxFrameBytes,
    check: check.upgrade,
    onViewer: (webSocket, { socket }) =>
      onViewer(webSocket, { address: sourceOf(socket.remoteAddress), settle: () => connections.settle(socket) }),
    onWorker(webSocket, { socket }) {
      const address = sourceOf(socket.remoteAddress);
      const onWelcome = (): void => connections.settle(socket);
      const onEnding = (): void => connections.letEnd(socket);
      const transport = new GuardedTransport({ webSocket, socket, address, onWelcome, onEnding }, guard);
      transports.add(transport);
      webSocket.once('close', () => transports.delete(transport));
      traffic.add(socket, transport);
      options.onConnection(transport, address);
    },
  });
  return {
    upgrade: upgrades.upgrade,
    checkOrigin: check.origin,
    traffic: () => traffic.total(),
    /** Asks every socket to close. */
    close(code = 1001, reason = 'the coordinator ends'): void {
      for (const transport of transports) transport.close(code, reason);
      upgrades.close(code, reason);
    },
  };
}

function createCheck({ host, secure, allowedOrigins = [], turnedAway }: SocketOptions) {
  const checkOrigin = createOriginCheck({ host, secure, allowed: allowedOrigins });
  const rates = new HandshakeRates(systemClock.nowMs);
  const origin = (request: IncomingMessage) => {
    const refusal = checkOrigin(request);
    if (refusal) turnedAway.count('origin');
    return refusal;
  };
  return {
    origin,
    upgrade(request: IncomingMessage) {
      if (rates.take(sourceOf(request.socket.remoteAddress))) return origin(request);
      turnedAway.count('hasty');
      return { status: 429, message: 'too many connections were opened from this address: try again in a few seconds' };
    },
  };
}

function guardOptions({
  maxFrameBytes,
  batchBytes,
  heartbeatMs,
  token,
  code,
  guesses,
  turnedAway,
  ...sizes
}: SocketOptions): GuardOptions {
  const answer = answerSize(sizes.vectorBytes, sizes.chunkBytes);
  return {
    maxFrameBytes,
    answer,
    maxQueuedBytes: maxQueuedBytes(answer.bytes, batchBytes),
    heartbeatMs,
    clock: systemClock,
    token,
    code,
    guesses: guesses ?? new TokenGuesses(systemClock.nowMs),
    onTurnedAway: turnedAway.count,
  };
}

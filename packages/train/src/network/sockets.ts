/** The sockets of workers and viewers on a server, and who may open one. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CoordinatorTransport } from '@lockstep/protocol';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import { GuardedTransport, type GuardOptions } from '../guard/guarded-transport.ts';
import { Guesses } from '../guard/guesses.ts';
import { Limiter, type Rate } from '../guard/limiter.ts';
import { clientOf } from '../guard/source-address.ts';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';
import { answerSize, maxQueuedBytes } from '../guard/worker-limits.ts';
import { createOriginCheck } from '../http/origin.ts';
import { TrafficCounter } from '../http/traffic-counter.ts';
import { createUpgrades, rejectUpgrade } from '../http/upgrade.ts';
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
  readonly guesses?: Guesses;
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

/** Hundreds of tabs behind one router may come back at one moment, and do so again. */
const handshakes: Rate = { capacity: 2_048, perSecond: 256 };
const longestHandshakeMs = 2_000;
const hasty = 'too many connections are being opened from this address: try again in a few seconds';

export function createSockets(options: SocketOptions, connections: Connections) {
  const { maxFrameBytes, onViewer, token, turnedAway } = options;
  const checkOrigin = createCheck(options);
  const rates = new Limiter(handshakes, longestHandshakeMs, systemClock.nowMs);
  const traffic = new TrafficCounter();
  const guard = guardOptions(options);
  const transports = new Set<GuardedTransport>();
  const upgrades = createUpgrades({
    maxFrameBytes,
    check: checkOrigin,
    onViewer: (webSocket, request) =>
      onViewer(webSocket, {
        address: clientOf(request, token),
        settle: () => connections.settle(request.socket),
      }),
    onWorker(webSocket, request) {
      const { socket } = request;
      const address = clientOf(request, token);
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
    /** A client that opens too many sockets is delayed, and turned away only if too many of its own wait already. */
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      const waitMs = rates.reserve(clientOf(request, token));
      if (waitMs === 0) {
        upgrades.upgrade(request, socket, head);
        return;
      }
      socket.on('error', () => socket.destroy());
      if (waitMs === undefined) {
        turnedAway.count('hasty');
        rejectUpgrade(socket, 429, hasty);
        return;
      }
      socket.once(
        'close',
        systemClock.after(waitMs, () => upgrades.upgrade(request, socket, head)),
      );
    },
    checkOrigin,
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
  return (request: IncomingMessage) => {
    const refusal = checkOrigin(request);
    if (refusal) turnedAway.count('origin');
    return refusal;
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
    guesses: guesses ?? new Guesses(systemClock),
    onTurnedAway: turnedAway.count,
  };
}

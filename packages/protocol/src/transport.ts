/** The interface of a connection between one worker and the coordinator. */
import type { CoordinatorMessage, Message, WorkerMessage } from './messages.ts';

/** Why a connection ended. Codes are those of WebSocket (RFC 6455, section 7.4.1). */
export interface Closing {
  /** 1000 normal, 1001 going away, 1002 bad frame, 1003 text frame, 1006 connection lost, 1009 frame too large. */
  readonly code: number;
  /** One sentence, or empty where the peer gave none. */
  readonly reason: string;
  /** `local`: this end closed it, by `close` or because what arrived was refused. */
  readonly by: 'local' | 'remote';
}

export interface TransportListener<Receives extends Message> {
  /** Takes one checked message. Its bytes may be views into the frame: never write to them. */
  onMessage(message: Receives): void;
  /** Called exactly once, after the last message. */
  onClose(closing: Closing): void;
}

/** The messages of a vector, each of which is made when a connection has room for it. */
export interface VectorStream<Sends extends Message> {
  /** The next one; undefined at the end. */
  next(): Sends | undefined;
  /** Called once a connection needs a message no more, where it tells: the memory of its frame may change then. */
  sent?(message: Sends): void;
}

/**
 * One end of a connection. Every implementation keeps these rules:
 * - messages arrive in the order sent, except that vectors and their chunks wait while much is buffered, and others
 *   overtake them; none arrives before `listen`, and those that come earlier wait for it;
 * - nothing is delivered from inside `send`, `close` or `listen`;
 * - a frame that cannot be decoded closes the connection from this end, with the reason, and is not delivered;
 * - after `close` no message is delivered, and `onClose` follows without waiting for the peer.
 */
export interface Transport<Receives extends Message = Message, Sends extends Message = Message> {
  /** Describes the other end to people. */
  readonly remote: string;
  /** Bytes accepted by `send` and not yet handed to the network, those that wait included; of streams those that are made. */
  readonly bufferedBytes: number;
  /** Bytes that have arrived, unfinished frames included where the platform tells; undefined where nothing is counted. */
  readonly receivedBytes?: number | undefined;
  /** Bytes of the messages handed to the network; undefined where nothing is counted. */
  readonly sentBytes?: number | undefined;
  /** Starts delivery; called once. Throws an Error when called again. */
  listen(listener: TransportListener<Receives>): void;
  /** Queues a message, which must not change any more. Does nothing on a connection that has ended. */
  send(message: Sends): void;
  /** Sends a vector after those before it; others may overtake it. Does nothing on a connection that has ended. */
  sendVector(stream: VectorStream<Sends>): void;
  /** Ends the connection once what is buffered has been sent; vectors that wait are not. Only the first call counts. */
  close(code: number, reason: string): void;
}

export type CoordinatorTransport = Transport<WorkerMessage, CoordinatorMessage>;
export type WorkerTransport = Transport<CoordinatorMessage, WorkerMessage>;

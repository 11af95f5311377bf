/** The coordinator's end of one viewer's socket, which takes messages only as fast as the viewer reads. */
import { decodeWatch, encodeWatch, ProtocolError, type ViewerRole, type WatchMessageFrom } from '@lockstep/protocol';
import { WebSocket } from 'ws';
import type { Visit } from '../network/sockets.ts';

const maxQueuedBytes = 256 * 1024;
/** A socket without a `hello` by then is closed. */
const helloTimeoutMs = 5_000;
/** A viewer that reads nothing for so long is closed; a page that is only slow connects again by itself. */
const maxBehindMs = 30_000;
const maxMessagesPerSecond = 50;
/** A close frame holds 123 bytes of reason. */
const maxReasonLength = 120;

export class Viewer {
  saidHello = false;
  /** Undefined until its `hello` is accepted. */
  role: ViewerRole | undefined;
  /** Whether the viewer has asked for weights that it has not got. */
  wantsWeights = false;
  badTokens = 0;
  /** Whether it knows how to join. */
  mayInvite = false;
  readonly address: string;
  readonly #socket: WebSocket;
  readonly #visit: Visit;
  readonly #openedAtMs: number;
  readonly #nowMs: () => number;
  #behindSinceMs: number | undefined;
  #messages = 0;
  #messagesSinceMs: number;

  constructor(socket: WebSocket, visit: Visit, nowMs: () => number) {
    this.address = visit.address;
    this.#socket = socket;
    this.#visit = visit;
    this.#nowMs = nowMs;
    this.#openedAtMs = nowMs();
    this.#messagesSinceMs = nowMs();
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Whether it takes messages at the moment. */
  get keepsUp(): boolean {
    return this.#behindSinceMs === undefined && this.isOpen;
  }

  send(message: WatchMessageFrom<'coordinator'>): void {
    if (this.keepsUp) this.sendFrame(encodeWatch(message));
  }

  /** @param frame an encoded message, which other viewers may be sent as well */
  sendFrame(frame: Uint8Array): void {
    if (!this.keepsUp) return;
    if (this.#socket.bufferedAmount > maxQueuedBytes) this.#behindSinceMs = this.#nowMs();
    else this.#socket.send(frame);
  }

  /** Lets it watch. */
  admit(role: ViewerRole): void {
    this.role = role;
    this.#visit.settle();
  }

  /** Tells the person why, and closes. */
  refuse(code: number, message: string): void {
    this.send({ type: 'refused', message });
    this.close(code, message);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason.slice(0, maxReasonLength));
  }

  /** Closes it where it has not said `hello` in time. */
  checkHello(): void {
    if (this.#nowMs() - this.#openedAtMs > helloTimeoutMs)
      this.close(1008, `no hello within ${helloTimeoutMs / 1000} s`);
  }

  /** Whether it has just caught up; closes one that has been behind for too long. */
  checkBehind(): boolean {
    if (this.#behindSinceMs === undefined) return false;
    if (this.#socket.bufferedAmount === 0) {
      this.#behindSinceMs = undefined;
      return true;
    }
    if (this.#nowMs() - this.#behindSinceMs > maxBehindMs) this.#socket.terminate();
    return false;
  }

  /** A message from the viewer, checked; undefined where the viewer was closed because of it. */
  read(data: Buffer, isBinary: boolean): WatchMessageFrom<'viewer'> | undefined {
    try {
      if (!isBinary) throw new ProtocolError('frame: expected binary, got text', 1003);
      return decodeWatch(data, 'viewer');
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(error.closeCode, error.message);
      return undefined;
    }
  }

  /** Counts a message or a ping of the socket; closes a viewer that sends too many, and says so. */
  floods(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#messagesSinceMs > 1000) {
      this.#messagesSinceMs = nowMs;
      this.#messages = 0;
    }
    this.#messages += 1;
    if (this.#messages <= maxMessagesPerSecond) return false;
    this.close(1008, `expected at most ${maxMessagesPerSecond} messages a second, got more`);
    // To read what else comes before the socket ends would cost time.
    this.#socket.pause();
    return true;
  }
}

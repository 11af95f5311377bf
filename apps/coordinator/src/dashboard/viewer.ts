/** The coordinator's end of one viewer's socket, which takes messages only as fast as the viewer reads. */
import { decodeWatch, encodeWatch, ProtocolError, type WatchMessageFrom } from '@lockstep/protocol';
import { WebSocket } from 'ws';

const maxQueuedBytes = 256 * 1024;
/** A viewer that reads nothing for so long is closed; a page that is only slow connects again by itself. */
const maxBehindMs = 30_000;
const maxMessagesPerSecond = 50;

export class Viewer {
  /** Whether the viewer has asked for weights that it has not got. */
  wantsWeights = false;
  badTokens = 0;
  readonly #socket: WebSocket;
  readonly #nowMs: () => number;
  #behindSinceMs: number | undefined;
  #messages = 0;
  #messagesSinceMs: number;

  constructor(socket: WebSocket, nowMs: () => number) {
    this.#socket = socket;
    this.#nowMs = nowMs;
    this.#messagesSinceMs = nowMs();
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Whether it takes messages at the moment. */
  get keepsUp(): boolean {
    return this.#behindSinceMs === undefined && this.#socket.readyState === WebSocket.OPEN;
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

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
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
    if (this.#floods()) {
      this.close(1008, `expected at most ${maxMessagesPerSecond} messages a second, got more`);
      return undefined;
    }
    try {
      if (!isBinary) throw new ProtocolError('frame: expected binary, got text', 1003);
      return decodeWatch(data, 'viewer');
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // A close frame holds 123 bytes of reason.
      this.close(error.closeCode, error.message.slice(0, 120));
      return undefined;
    }
  }

  #floods(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#messagesSinceMs > 1000) {
      this.#messagesSinceMs = nowMs;
      this.#messages = 0;
    }
    this.#messages += 1;
    return this.#messages > maxMessagesPerSecond;
  }
}

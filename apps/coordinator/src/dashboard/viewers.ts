/**
 * Those who watch. What they are sent may be dropped: one that does not keep up gets nothing until its socket has
 * drained, and then everything anew. So a viewer that never reads costs a bounded amount of memory and no time.
 */
import { decodeWatch, encodeWatch, ProtocolError, type WatchMessage, type WatchMessageFrom } from '@lockstep/protocol';
import { WebSocket } from 'ws';

export type CoordinatorWatchMessage = WatchMessageFrom<'coordinator'>;
export type ViewerMessage = WatchMessageFrom<'viewer'>;

export interface ViewersOptions {
  readonly nowMs: () => number;
  /** What a viewer needs to show everything as it is now. */
  readonly snapshot: () => readonly CoordinatorWatchMessage[];
  readonly onMessage: (message: ViewerMessage, viewer: Viewer) => void;
}

export interface Viewer {
  send(message: CoordinatorWatchMessage): void;
  close(code: number, message: string): void;
  /** Whether it takes more at the moment. */
  readonly keepsUp: boolean;
  /** Kept here for whoever answers it: when it asked for weights, and when it last got some. */
  wantsWeights: boolean;
  weightsAtMs: number;
  /** Actions that were refused because of the token. */
  badTokens: number;
}

export interface Viewers {
  readonly size: number;
  /** Whether anybody takes more at the moment. */
  readonly listening: boolean;
  /** Bytes that wait in this process for viewers to take them. */
  readonly queuedBytes: number;
  add(socket: WebSocket): void;
  /** Encoded once for all; nothing is encoded where nobody keeps up. */
  broadcast(message: CoordinatorWatchMessage): void;
  /** Finds out who has drained, and closes who has not for too long. */
  tend(): void;
  all(): Iterable<Viewer>;
}

/** Bytes that wait for one viewer before it counts as too slow. */
const maxQueuedBytes = 256 * 1024;
/** A viewer that takes nothing for so long is closed; a page that is only slow comes back by itself. */
const patienceMs = 30_000;
/** What a viewer may say in a second. */
const messagesPerSecond = 50;

export function createViewers({ nowMs, snapshot, onMessage }: ViewersOptions): Viewers {
  const viewers = new Set<WatchingSocket>();
  return {
    get size() {
      return viewers.size;
    },
    get listening() {
      for (const viewer of viewers) if (viewer.keepsUp) return true;
      return false;
    },
    get queuedBytes() {
      let bytes = 0;
      for (const viewer of viewers) bytes += viewer.queuedBytes;
      return bytes;
    },
    add(socket) {
      const viewer = new WatchingSocket(socket, nowMs);
      viewers.add(viewer);
      socket.on('close', () => viewers.delete(viewer));
      socket.on('error', () => {});
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        const message = viewer.read(data, isBinary);
        if (message) onMessage(message, viewer);
      });
      for (const message of snapshot()) viewer.send(message);
    },
    broadcast(message) {
      let frame: Uint8Array | undefined;
      for (const viewer of viewers) {
        if (!viewer.keepsUp) continue;
        frame ??= encodeWatch(message);
        viewer.sendFrame(frame);
      }
    },
    tend() {
      let anew: readonly Uint8Array[] | undefined;
      for (const viewer of viewers) {
        if (!viewer.tend()) continue;
        anew ??= snapshot().map(encodeWatch);
        for (const frame of anew) viewer.sendFrame(frame);
      }
    },
    all: () => viewers,
  };
}

class WatchingSocket implements Viewer {
  wantsWeights = false;
  weightsAtMs = Number.NEGATIVE_INFINITY;
  badTokens = 0;
  readonly #socket: WebSocket;
  readonly #nowMs: () => number;
  #behindSinceMs: number | undefined;
  #heard = 0;
  #heardSinceMs: number;

  constructor(socket: WebSocket, nowMs: () => number) {
    this.#socket = socket;
    this.#nowMs = nowMs;
    this.#heardSinceMs = nowMs();
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  get keepsUp(): boolean {
    return this.#behindSinceMs === undefined && this.#socket.readyState === WebSocket.OPEN;
  }

  send(message: WatchMessage): void {
    if (this.keepsUp) this.sendFrame(encodeWatch(message));
  }

  /** @param frame an encoded message, which others may be sent as well */
  sendFrame(frame: Uint8Array): void {
    if (!this.keepsUp) return;
    if (this.#socket.bufferedAmount > maxQueuedBytes) this.#behindSinceMs = this.#nowMs();
    else this.#socket.send(frame);
  }

  close(code: number, message: string): void {
    this.#socket.close(code, message);
  }

  /** Whether it has caught up just now. */
  tend(): boolean {
    if (this.#behindSinceMs === undefined) return false;
    if (this.#socket.bufferedAmount === 0) {
      this.#behindSinceMs = undefined;
      return true;
    }
    if (this.#nowMs() - this.#behindSinceMs > patienceMs) this.#socket.terminate();
    return false;
  }

  /** What it says, checked; undefined where it was closed for it. */
  read(data: Buffer, isBinary: boolean): ViewerMessage | undefined {
    const nowMs = this.#nowMs();
    if (nowMs - this.#heardSinceMs > 1000) {
      this.#heardSinceMs = nowMs;
      this.#heard = 0;
    }
    this.#heard += 1;
    if (this.#heard > messagesPerSecond) {
      this.close(1008, `expected at most ${messagesPerSecond} messages a second, got more`);
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
}

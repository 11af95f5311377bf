/**
 * All viewers of a run. A viewer that does not keep up gets nothing until its socket has drained, and then a snapshot:
 * so a viewer that never reads costs a bounded amount of memory and no time.
 */
import { encodeWatch, type WatchMessageFrom } from '@lockstep/protocol';
import type { WebSocket } from 'ws';
import { Viewer } from './viewer.ts';

export interface ViewersOptions {
  readonly nowMs: () => number;
  /** What a viewer needs to show everything as it is now. */
  readonly snapshot: () => readonly WatchMessageFrom<'coordinator'>[];
  readonly onMessage: (message: WatchMessageFrom<'viewer'>, viewer: Viewer) => void;
}

export class Viewers {
  readonly #options: ViewersOptions;
  readonly #viewers = new Set<Viewer>();

  constructor(options: ViewersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#viewers.size;
  }

  get anyKeepsUp(): boolean {
    return [...this.#viewers].some(({ keepsUp }) => keepsUp);
  }

  /** Bytes that wait in this process for viewers to take them. */
  get queuedBytes(): number {
    return [...this.#viewers].reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
  }

  [Symbol.iterator](): Iterator<Viewer> {
    return this.#viewers.values();
  }

  add(socket: WebSocket): void {
    const viewer = new Viewer(socket, this.#options.nowMs);
    this.#viewers.add(viewer);
    socket.on('close', () => this.#viewers.delete(viewer));
    socket.on('error', () => {});
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      const message = viewer.read(data, isBinary);
      if (message) this.#options.onMessage(message, viewer);
    });
    for (const message of this.#options.snapshot()) viewer.send(message);
  }

  /** Encodes the message once for all viewers, and not at all where none keeps up. */
  broadcast(message: WatchMessageFrom<'coordinator'>): void {
    let frame: Uint8Array | undefined;
    for (const viewer of this.#viewers) {
      if (!viewer.keepsUp) continue;
      frame ??= encodeWatch(message);
      viewer.sendFrame(frame);
    }
  }

  /** Sends a snapshot to each viewer that has caught up, and closes those that have been behind for too long. */
  refresh(): void {
    let frames: readonly Uint8Array[] | undefined;
    for (const viewer of this.#viewers) {
      if (!viewer.checkBehind()) continue;
      frames ??= this.#options.snapshot().map(encodeWatch);
      for (const frame of frames) viewer.sendFrame(frame);
    }
  }
}

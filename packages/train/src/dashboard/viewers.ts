/**
 * All viewers of a run. A viewer that does not keep up gets nothing until its socket has drained, and then a snapshot:
 * so a viewer that never reads costs a bounded amount of memory and no time.
 */
import { encodeWatch, type ViewerRole, type WatchMessageFrom, type WatchMessageOf } from '@lockstep/protocol';
import type { WebSocket } from 'ws';
import type { Visit } from '../network/sockets.ts';
import { Viewer } from './viewer.ts';
import { defaultViewerLimits, placeFor, type ViewerLimits } from './viewer-places.ts';

/** The answer to a `hello`. */
export type Welcome =
  /** @param fault what was wrong with the admin token that it has shown */
  | {
      readonly role: ViewerRole;
      readonly fault?: string;
      /** Whether it sees the join code. */
      readonly mayInvite: boolean;
    }
  | { readonly refusal: string };

export interface ViewersOptions {
  readonly nowMs: () => number;
  /** What a viewer needs to show everything as it is now. */
  readonly snapshot: () => readonly WatchMessageFrom<'coordinator'>[];
  /** Calls `onWelcome` with the answer to a `hello`, later if the viewer must wait. */
  readonly welcome: (hello: WatchMessageOf<'hello'>, client: string, onWelcome: (welcome: Welcome) => void) => void;
  /** Called with what sends the snapshot, when a viewer has its place. */
  readonly onWelcome: (sendSnapshot: () => void, viewer: Viewer) => void;
  /** Called for a viewer that finds no place, or must give its own up. */
  readonly onFull: () => void;
  readonly limits?: Partial<ViewerLimits> | undefined;
  /** Takes a message of a viewer that has been welcomed. */
  readonly onMessage: (message: WatchMessageFrom<'viewer'>, viewer: Viewer) => void;
}

export class Viewers {
  readonly #options: ViewersOptions;
  readonly #limits: ViewerLimits;
  /** In the order in which they were welcomed. */
  readonly #viewers = new Set<Viewer>();
  /** Those that have not said `hello`. */
  readonly #newcomers = new Set<Viewer>();

  constructor(options: ViewersOptions) {
    this.#options = options;
    this.#limits = { ...defaultViewerLimits, ...options.limits };
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** Those included that have not said `hello`. */
  get connections(): number {
    return this.#viewers.size + this.#newcomers.size;
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

  add(socket: WebSocket, visit: Visit): void {
    const viewer = new Viewer(socket, visit, this.#options.nowMs);
    this.#newcomers.add(viewer);
    socket.on('close', () => {
      this.#newcomers.delete(viewer);
      this.#viewers.delete(viewer);
    });
    socket.on('error', () => {});
    for (const event of ['ping', 'pong']) socket.on(event, () => void viewer.floods());
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!viewer.isOpen) return;
      const message = viewer.floods() ? undefined : viewer.read(data, isBinary);
      if (message) this.#handleMessage(message, viewer);
    });
  }

  #handleMessage(message: WatchMessageFrom<'viewer'>, viewer: Viewer): void {
    if (message.type === 'hello' && !viewer.saidHello) {
      viewer.saidHello = true;
      this.#options.welcome(message, viewer.address, (welcome) => this.#greet(message, welcome, viewer));
    } else if (message.type === 'hello') viewer.close(1002, 'hello: expected it once, got a second one');
    else if (!viewer.saidHello) viewer.close(1002, `${message.type}: expected hello first`);
    // Requests before the welcome are ignored.
    else if (viewer.role !== undefined) this.#options.onMessage(message, viewer);
  }

  #greet(hello: WatchMessageOf<'hello'>, welcome: Welcome, viewer: Viewer): void {
    if (!viewer.isOpen) return;
    if ('refusal' in welcome) {
      viewer.refuse(1008, welcome.refusal);
      return;
    }
    const place = placeFor([...this.#viewers], welcome.role, viewer.address, this.#limits);
    if (place.type !== 'free') this.#options.onFull();
    if (place.type === 'full') {
      viewer.refuse(1013, place.message);
      return;
    }
    if (place.type === 'taken') {
      this.#viewers.delete(place.from);
      place.from.refuse(1013, 'the coordinator is full: another viewer needed this place');
    }
    viewer.admit(welcome.role);
    viewer.mayInvite = welcome.mayInvite;
    this.#newcomers.delete(viewer);
    this.#viewers.add(viewer);
    this.#options.onWelcome(() => {
      for (const message of this.#options.snapshot()) viewer.send(message);
      const { role, fault } = welcome;
      if (hello.adminToken !== undefined)
        viewer.send({ type: 'role', role, ...(fault === undefined ? {} : { fault }) });
    }, viewer);
  }

  /**
   * Encodes the message once for all viewers, and not at all where none keeps up.
   * @param role left out where it is for viewers of every role
   */
  broadcast(message: WatchMessageFrom<'coordinator'>, role?: ViewerRole): void {
    let frame: Uint8Array | undefined;
    for (const viewer of this.#viewers) {
      if (!viewer.keepsUp || (role !== undefined && viewer.role !== role)) continue;
      frame ??= encodeWatch(message);
      viewer.sendFrame(frame);
    }
  }

  /** Sends a snapshot to each viewer that has caught up, and closes those that are behind or silent for too long. */
  refresh(): void {
    for (const newcomer of this.#newcomers) newcomer.checkHello();
    let frames: readonly Uint8Array[] | undefined;
    for (const viewer of this.#viewers) {
      if (!viewer.checkBehind()) continue;
      frames ??= this.#options.snapshot().map(encodeWatch);
      for (const frame of frames) viewer.sendFrame(frame);
    }
  }
}

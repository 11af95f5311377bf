/**
 * All viewers of a run. A viewer that does not keep up gets nothing until its socket has drained, and then a snapshot:
 * a viewer that never reads costs a bounded amount of memory and no time.
 */
import {
  decodeWatch,
  encodeWatch,
  ProtocolError,
  type ViewerRole,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { TokenBucket } from '../site/limiter.ts';
import type { Visit } from '../site/sockets.ts';

/** The answer to a `hello`. */
export type Welcome =
  /** @param fault what was wrong with the admin token in the `hello` */
  | {
      readonly role: ViewerRole;
      readonly fault?: string;
      /** Whether the viewer sees the join code. */
      readonly mayInvite: boolean;
    }
  | { readonly refusal: string };

export interface ViewersOptions {
  readonly nowMs: () => number;
  /** Messages from which a viewer can show the complete current state. */
  readonly snapshot: () => readonly WatchMessageFrom<'coordinator'>[];
  /** Calls `onWelcome` with the answer to a `hello`, later if the viewer must wait. */
  readonly welcome: (hello: WatchMessageOf<'hello'>, client: string, onWelcome: (welcome: Welcome) => void) => void;
  /** Called when a viewer has its place, with a function that sends the snapshot. */
  readonly onWelcome: (sendSnapshot: () => void, viewer: Viewer) => void;
  /** Called for a viewer that gets no place, or must give up its own. */
  readonly onFull: () => void;
  readonly limits?: Partial<ViewerLimits> | undefined;
  /** Handles a message from a welcomed viewer. */
  readonly onMessage: (message: WatchMessageFrom<'viewer'>, viewer: Viewer) => void;
}

export class Viewers {
  readonly #options: ViewersOptions;
  readonly #limits: ViewerLimits;
  /** In the order of their welcome. */
  readonly #viewers = new Set<Viewer>();
  /** Viewers that have not said `hello`. */
  readonly #newcomers = new Set<Viewer>();

  constructor(options: ViewersOptions) {
    this.#options = options;
    this.#limits = { ...defaultViewerLimits, ...options.limits };
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** Includes viewers that have not said `hello`. */
  get connections(): number {
    return this.#viewers.size + this.#newcomers.size;
  }

  get anyKeepsUp(): boolean {
    return [...this.#viewers].some(({ keepsUp }) => keepsUp);
  }

  /** Bytes queued in this process for all viewers. */
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
   * Encodes the message once for all viewers, and not at all if none keeps up.
   * @param role omitted for viewers of every role
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

const maxQueuedBytes = 256 * 1024;
/** A socket that has not said `hello` by then is closed. */
const helloTimeoutMs = 5_000;
/** A viewer that reads nothing for this long is closed; a page that is merely slow reconnects by itself. */
const maxBehindMs = 30_000;
const maxMessagesPerSecond = 50;
/** A close frame holds a reason of at most 123 bytes. */
const maxReasonLength = 120;

/** The coordinator's end of one viewer's socket, which accepts messages only as fast as the viewer reads. */
export class Viewer {
  saidHello = false;
  /** Undefined until its `hello` is accepted. */
  role: ViewerRole | undefined;
  /** Whether the viewer has requested weights that have not been sent. */
  wantsWeights = false;
  badTokens = 0;
  /** Whether the viewer knows how to join. */
  mayInvite = false;
  readonly address: string;
  readonly #socket: WebSocket;
  readonly #visit: Visit;
  readonly #openedAtMs: number;
  readonly #nowMs: () => number;
  #behindSinceMs: number | undefined;
  readonly #messages: TokenBucket;

  constructor(socket: WebSocket, visit: Visit, nowMs: () => number) {
    this.address = visit.address;
    this.#socket = socket;
    this.#visit = visit;
    this.#nowMs = nowMs;
    this.#openedAtMs = nowMs();
    this.#messages = new TokenBucket({ capacity: maxMessagesPerSecond, perSecond: maxMessagesPerSecond }, nowMs);
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Whether the viewer accepts messages at the moment. */
  get keepsUp(): boolean {
    return this.#behindSinceMs === undefined && this.isOpen;
  }

  send(message: WatchMessageFrom<'coordinator'>): void {
    if (this.keepsUp) this.sendFrame(encodeWatch(message));
  }

  /** @param frame an encoded message, which other viewers may receive as well */
  sendFrame(frame: Uint8Array): void {
    if (!this.keepsUp) return;
    if (this.#socket.bufferedAmount > maxQueuedBytes) this.#behindSinceMs = this.#nowMs();
    else this.#socket.send(frame);
  }

  /** Allows the viewer to watch. */
  admit(role: ViewerRole): void {
    this.role = role;
    this.#visit.settle();
  }

  /** Tells the person why, and closes the socket. */
  refuse(code: number, message: string): void {
    this.send({ type: 'refused', message });
    this.close(code, message);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason.slice(0, maxReasonLength));
  }

  /** Closes the viewer if it has not said `hello` in time. */
  checkHello(): void {
    if (this.#nowMs() - this.#openedAtMs > helloTimeoutMs)
      this.close(1008, `no hello within ${helloTimeoutMs / 1000} s`);
  }

  /** Whether the viewer has just caught up; closes a viewer that has been behind for too long. */
  checkBehind(): boolean {
    if (this.#behindSinceMs === undefined) return false;
    if (this.#socket.bufferedAmount === 0) {
      this.#behindSinceMs = undefined;
      return true;
    }
    if (this.#nowMs() - this.#behindSinceMs > maxBehindMs) this.#socket.terminate();
    return false;
  }

  /** Decodes and checks a message from the viewer; undefined if the viewer was closed because of it. */
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

  /** Counts a message or a ping of the socket; closes a viewer that sends too many, with the reason. */
  floods(): boolean {
    this.#messages.spend(1);
    if (this.#messages.level >= 0) return false;
    this.close(1008, `expected at most ${maxMessagesPerSecond} messages a second, got more`);
    // Reading what else arrives before the socket ends would cost time.
    this.#socket.pause();
    return true;
  }
}

export interface ViewerLimits {
  readonly total: number;
  /** Less than `total`, so that no address takes every place. */
  readonly perAddress: number;
}

export const defaultViewerLimits: ViewerLimits = { total: 512, perAddress: 320 };

type Placed = Pick<Viewer, 'role' | 'address'>;

/** A free place, a place taken from another viewer, or none, with a message. */
export type Place<V> = { readonly type: 'free' } | { readonly type: 'taken'; readonly from: V } | Full;
export interface Full {
  readonly type: 'full';
  readonly message: string;
}

/**
 * Decides who may watch if there are more viewers than places: owners always, guests by the number of guests from their
 * address.
 * @param viewers all that have places, in the order of arrival
 */
export function placeFor<V extends Placed>(
  viewers: readonly V[],
  role: ViewerRole,
  address: string,
  { total, perAddress }: ViewerLimits,
): Place<V> {
  const guests = viewers.filter((viewer) => viewer.role === 'guest');
  const neighbors = guests.filter((viewer) => viewer.address === address);
  if (role === 'guest' && neighbors.length >= perAddress) {
    const message = `the coordinator is full: no more than ${perAddress} viewers from one address may be connected`;
    return { type: 'full', message };
  }
  if (viewers.length < total) return { type: 'free' };
  const crowd = largestCrowd(guests);
  if (crowd[0] && (role === 'owner' || crowd.length > neighbors.length + 1)) return { type: 'taken', from: crowd[0] };
  return { type: 'full', message: `the coordinator is full: no more than ${total} viewers may be connected` };
}

/** The guests of the address with the most guests. */
function largestCrowd<V extends Placed>(guests: readonly V[]): readonly V[] {
  const crowds = new Map<string, V[]>();
  for (const guest of guests) crowds.set(guest.address, [...(crowds.get(guest.address) ?? []), guest]);
  return [...crowds.values()].reduce((largest, crowd) => (crowd.length > largest.length ? crowd : largest), []);
}

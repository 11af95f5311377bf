/** The viewers of a server: connections with a role, and who gets which role. */

import { plural } from '@lockstep/data/shown';
import {
  decodeWatch,
  encodeWatch,
  ProtocolError,
  sameSecret,
  toMessageText,
  type ViewerRole,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import { defaultLimits } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import { WebSocket } from 'ws';
import { busyMessage, largestCrowd, TokenBucket, type TurnedAwayCounts } from './limiter.ts';
import type { Door, Visit } from './sockets.ts';

export type OwnerRequest = Exclude<WatchMessageFrom<'viewer'>, { type: 'hello' | 'wantWeights' | 'unlock' }>;

/** Why an owner's request is refused, or what was done; undefined if the viewer sees that anyway. */
export type Reply = WatchMessageOf<'refused' | 'done'> | undefined;

export function refused(message: string): Reply {
  return { type: 'refused', message };
}

interface ViewersOptions {
  readonly permission: Permission;
  readonly turnedAway: TurnedAwayCounts;
  readonly limits?: Partial<ViewerLimits> | undefined;
  readonly nowMs?: () => number;
  /** Messages from which a viewer can show the complete current state. */
  readonly snapshot: () => readonly WatchMessageFrom<'coordinator'>[];
  /** Called when a viewer has its place, with a function that sends the snapshot; by default, it is sent at once. */
  readonly onWelcome?: (sendSnapshot: () => void) => void;
  /** Code that viewers see who know how to join anyway; omitted if they see none. */
  readonly joinCode?: string | undefined;
  readonly reply: (request: OwnerRequest) => Reply | Promise<Reply>;
  readonly onError?: (error: unknown) => void;
}

/**
 * All viewers. A viewer that does not keep up gets nothing until its socket has drained, and then a snapshot: a viewer
 * that never reads costs a bounded amount of memory and no time.
 */
export class Viewers {
  readonly #options: ViewersOptions;
  readonly #limits: ViewerLimits;
  readonly #nowMs: () => number;
  /** In the order of their welcome. */
  readonly #viewers = new Set<Viewer>();
  /** Viewers that have not said `hello`. */
  readonly #newcomers = new Set<Viewer>();

  constructor(options: ViewersOptions) {
    this.#options = options;
    this.#limits = { ...defaultViewerLimits, ...options.limits };
    this.#nowMs = options.nowMs ?? systemClock.nowMs;
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
    const viewer = new Viewer(socket, visit, this.#nowMs);
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
      if (message) this.#handle(message, viewer);
    });
  }

  #handle(message: WatchMessageFrom<'viewer'>, viewer: Viewer): void {
    if (message.type === 'hello' && !viewer.saidHello) {
      viewer.saidHello = true;
      this.#options.permission.welcome(message, viewer.address, (welcome) => this.#greet(message, welcome, viewer));
    } else if (message.type === 'hello') viewer.close(1002, 'hello: expected it once, got a second one');
    else if (!viewer.saidHello) viewer.close(1002, `${message.type}: expected hello first`);
    // Requests before the welcome are ignored.
    else if (viewer.role === undefined) return;
    else if (message.type === 'wantWeights') viewer.wantsWeights = true;
    else if (this.#admits(message, viewer)) {
      if (message.type === 'unlock') this.#sendCode(viewer);
      else {
        const answered = this.#answer(message, viewer);
        if (this.#options.onError) answered.catch(this.#options.onError);
      }
    }
  }

  #greet({ adminToken }: WatchMessageOf<'hello'>, welcome: Welcome, viewer: Viewer): void {
    if (!viewer.isOpen) return;
    if ('refusal' in welcome) {
      viewer.refuse(1008, welcome.refusal);
      return;
    }
    const { role, fault, mayInvite } = welcome;
    const place = placeFor([...this.#viewers], role, viewer.address, this.#limits);
    if (place.type !== 'free') this.#options.turnedAway.full += 1;
    if (place.type === 'full') {
      viewer.refuse(1013, place.message);
      return;
    }
    if (place.type === 'taken') {
      this.#viewers.delete(place.from);
      place.from.refuse(1013, 'the coordinator is full: another viewer took this place');
    }
    viewer.admit(role);
    this.#newcomers.delete(viewer);
    this.#viewers.add(viewer);
    const { snapshot, onWelcome = (send) => send() } = this.#options;
    onWelcome(() => {
      for (const message of snapshot()) viewer.send(message);
      if (adminToken !== undefined) viewer.send({ type: 'role', role, ...(fault === undefined ? {} : { fault }) });
      if (mayInvite) this.#sendCode(viewer);
    });
  }

  /** Checks the admin token of a request; tells the viewer its role if that is all that it asked for. */
  #admits({ type, token }: OwnerRequest | WatchMessageOf<'unlock'>, viewer: Viewer): boolean {
    const fault = this.#options.permission.adminFault(token);
    if (fault === undefined) viewer.role = 'owner';
    if (type === 'unlock') {
      viewer.send(fault === undefined ? { type: 'role', role: 'owner' } : { type: 'role', role: 'guest', fault });
    } else if (fault !== undefined) viewer.send({ type: 'refused', message: fault });
    if (fault !== undefined) viewer.noteBadToken();
    return fault === undefined;
  }

  async #answer(request: OwnerRequest, viewer: Viewer): Promise<void> {
    const reply = await this.#options.reply(request);
    if (reply) viewer.send({ ...reply, message: toMessageText(reply.message) });
  }

  #sendCode(viewer: Viewer): void {
    const { joinCode } = this.#options;
    if (joinCode !== undefined) viewer.send({ type: 'joinCode', code: joinCode });
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
      if (!viewer.catchesUp()) continue;
      frames ??= this.#options.snapshot().map(encodeWatch);
      for (const frame of frames) viewer.sendFrame(frame);
    }
  }
}

const maxQueuedBytes = 256 * 1024;
/** A socket that has not said `hello` by then is closed. */
const helloTimeoutMs = defaultLimits.handshakeMs;
/** A viewer that reads nothing for this long is closed; a page that is merely slow reconnects by itself. */
const maxBehindMs = 30_000;
const maxMessagesPerSecond = 50;
const maxBadTokens = 5;
/** A close frame holds a reason of at most 123 bytes. */
const maxReasonLength = 120;

/** The coordinator's end of one viewer's socket, which accepts messages only as fast as the viewer reads. */
class Viewer {
  saidHello = false;
  /** Undefined until its `hello` is accepted. */
  role: ViewerRole | undefined;
  /** Whether the viewer has requested weights that have not been sent. */
  wantsWeights = false;
  readonly address: string;
  readonly #socket: WebSocket;
  readonly #visit: Visit;
  readonly #openedAtMs: number;
  readonly #nowMs: () => number;
  readonly #messages: TokenBucket;
  #behindSinceMs: number | undefined;
  #badTokens = 0;

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

  /** Closes a viewer that has shown too many wrong admin tokens. */
  noteBadToken(): void {
    this.#badTokens += 1;
    if (this.#badTokens >= maxBadTokens) this.close(1008, 'too many wrong admin tokens');
  }

  /** Closes the viewer if it has not said `hello` in time. */
  checkHello(): void {
    if (this.#nowMs() - this.#openedAtMs > helloTimeoutMs)
      this.close(1008, `no hello within ${helloTimeoutMs / 1000} s`);
  }

  /** Whether the viewer has just caught up; cuts a viewer that has been behind for too long. */
  catchesUp(): boolean {
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
    this.close(1008, `expected at most ${maxMessagesPerSecond} messages per second, got more`);
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

const defaultViewerLimits: ViewerLimits = { total: 512, perAddress: 320 };

/** A free place, a place taken from another viewer, or none, with a message. */
type Place<V> =
  | { readonly type: 'free' }
  | { readonly type: 'taken'; readonly from: V }
  | { readonly type: 'full'; readonly message: string };

/**
 * Decides who may watch if there are more viewers than places: owners always, guests by the number of guests from their
 * address.
 * @param viewers all that have places, in the order of arrival
 */
export function placeFor<V extends Pick<Viewer, 'role' | 'address'>>(
  viewers: readonly V[],
  role: ViewerRole,
  address: string,
  { total, perAddress }: ViewerLimits,
): Place<V> {
  const full = (most: string) => ({ type: 'full', message: `the coordinator is full: no more than ${most}` }) as const;
  const guests = viewers.filter((viewer) => viewer.role === 'guest');
  const neighbors = guests.filter((viewer) => viewer.address === address);
  if (role === 'guest' && neighbors.length >= perAddress)
    return full(`${plural(perAddress, 'viewer')} from one address may be connected`);
  if (viewers.length < total) return { type: 'free' };
  const crowd = largestCrowd(guests);
  if (crowd[0] && (role === 'owner' || crowd.length > neighbors.length + 1)) return { type: 'taken', from: crowd[0] };
  return full(`${plural(total, 'viewer')} may be connected`);
}

/** The answer to a `hello`: a role, with what was wrong with its admin token, or a refusal. */
type Welcome =
  | { readonly role: ViewerRole; readonly fault?: string; readonly mayInvite: boolean }
  | { readonly refusal: string };

/** Unless everybody may watch, viewers need the same secrets as workers; the admin token allows everything. */
interface PermissionOptions extends Door {
  readonly publicView: boolean;
  /** Generated, never chosen: too long to guess. */
  readonly adminToken: string;
}

/** Undefined if the token is right, otherwise a message with advice. */
type TokenFault = string | undefined;

const wrongToken =
  'the code or token is wrong: type the code again, or open the whole address that the coordinator printed';
const missingToken = 'watching this run requires its token: open the whole address that the coordinator printed';
const wrongAdminToken = 'the admin token is wrong: open the dashboard address that the coordinator printed';
const missingAdminToken =
  'controlling a run requires the admin token: open the dashboard address that the coordinator printed';

/** Who may watch a run, who may read its metrics, and who may control it. */
export class Permission {
  readonly #options: PermissionOptions;

  constructor(options: PermissionOptions) {
    this.#options = options;
  }

  /** Answers a viewer's `hello`: before this returns, unless guesses of its client are waiting. */
  welcome({ token, adminToken }: WatchMessageOf<'hello'>, client: string, onWelcome: (welcome: Welcome) => void): void {
    const fault = adminToken === undefined ? undefined : this.adminFault(adminToken);
    if (adminToken !== undefined && fault === undefined) {
      onWelcome({ role: 'owner', mayInvite: true });
      return;
    }
    const { code } = this.#options;
    this.#check(token, code === undefined ? [] : [code], client, (refusal) => {
      // A viewer that knows how to join may see the code.
      const mayInvite = token !== undefined && refusal === undefined;
      if (refusal !== undefined && !this.#isOpen) onWelcome({ refusal });
      else onWelcome({ role: 'guest', mayInvite, ...(fault !== undefined && { fault }) });
    });
  }

  /** Whether a token permits reading the metrics; the code does not. */
  metricsFault(token: string | undefined, client: string): Promise<TokenFault> {
    if (this.#isOpen) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#check(token, [], client, resolve));
  }

  /** Whether a token permits controlling the run. */
  adminFault(token: string | undefined): TokenFault {
    const { adminToken, turnedAway } = this.#options;
    if (token !== undefined && sameSecret(adminToken, token)) return undefined;
    turnedAway.token += 1;
    return token === undefined ? missingAdminToken : wrongAdminToken;
  }

  get #isOpen(): boolean {
    return this.#options.token === undefined || this.#options.publicView;
  }

  /** @param more further secrets accepted in place of the tokens */
  #check(
    shown: string | undefined,
    more: readonly string[],
    client: string,
    onFault: (fault: TokenFault) => void,
  ): void {
    const { token, adminToken, guesses, turnedAway } = this.#options;
    const report = (fault: TokenFault): void => {
      if (fault !== undefined && !this.#isOpen) turnedAway.token += 1;
      onFault(fault);
    };
    if (shown === undefined) {
      report(missingToken);
      return;
    }
    const expected = [...(token === undefined ? [] : [token]), adminToken, ...more];
    guesses.check(client, expected, shown, (result) =>
      report({ right: undefined, wrong: wrongToken, busy: busyMessage }[result]),
    );
  }
}

/** Limits each client: how often it acts, how often it guesses a secret, how much it sends, and who a client is. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIPv6 } from 'node:net';
import { type Clock, sameSecret } from '@lockstep/protocol';
import { nothingTurnedAway, type TurnedAway } from '@lockstep/record';

export interface Rate {
  /** Burst: units that pass at once. */
  readonly capacity: number;
  readonly perSecond: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #level: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#level = rate.capacity;
    this.#atMs = nowMs();
  }

  /** Units left; below 0 if more were spent than were available. */
  get level(): number {
    const nowMs = this.#nowMs();
    const { capacity, perSecond } = this.#rate;
    this.#level = Math.min(capacity, this.#level + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    return this.#level;
  }

  /** Takes units, or gives them back if the amount is negative. */
  spend(amount: number): void {
    this.#level = Math.min(this.#rate.capacity, this.level - amount);
  }
}

/** Clients in each of the two generations that a limiter remembers. */
const maxClients = 4_096;

/** Delays a client's too frequent actions, in order of arrival, and refuses only those that would wait too long. */
export class Limiter {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #longestWaitMs: number;
  #recent = new Map<string, TokenBucket>();
  #earlier = new Map<string, TokenBucket>();

  constructor(rate: Rate, longestWaitMs: number, nowMs: () => number) {
    this.#rate = rate;
    this.#longestWaitMs = longestWaitMs;
    this.#nowMs = nowMs;
  }

  /** Milliseconds that a client must wait now, 0 if it need not; undefined if that exceeds the longest wait. */
  reserve(client: string): number | undefined {
    const bucket = this.#bucketOf(client);
    const waitMs = Math.max(0, ((1 - bucket.level) / this.#rate.perSecond) * 1000);
    if (waitMs > this.#longestWaitMs) return undefined;
    bucket.spend(1);
    return waitMs;
  }

  /** Cancels a reservation. */
  refund(client: string): void {
    this.#bucketOf(client).spend(-1);
  }

  /** Whether a client has not been active lately. */
  isRested(client: string): boolean {
    const bucket = this.#recent.get(client) ?? this.#earlier.get(client);
    return bucket === undefined || bucket.level >= this.#rate.capacity;
  }

  #bucketOf(client: string): TokenBucket {
    const bucket = this.#recent.get(client) ?? this.#earlier.get(client) ?? new TokenBucket(this.#rate, this.#nowMs);
    if (this.#recent.size === maxClients && !this.#recent.has(client)) {
      // Repeatedly deleting the first entry of a map becomes ever slower, so a whole generation is dropped at once.
      this.#earlier = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(client, bucket);
    return bucket;
  }
}

/** Length from which a secret is too long to be guessed: a token made by Lockstep has 22 characters. */
const longSecret = 16;
const guessesOfClient: Rate = { capacity: 131_072, perSecond: 4 };
/** Clients without a recent wrong guess share a separate bucket, so that guessing clients do not delay them. */
const guessesOfAll: Rate = { capacity: 262_144, perSecond: 8 };
/** Workers and viewers have five seconds to say who they are. */
const longestWaitMs = 2_000;

export const busyMessage =
  'too many wrong codes were tried from this address: try again in a few seconds, or open the whole join address';
export const busyRetryMs = longestWaitMs;

/** `busy`: not compared, since guesses of this client are already waiting. */
export type GuessResult = 'right' | 'wrong' | 'busy';

/**
 * Compares secrets with the expected ones, and limits guesses at short secrets: the room's code, and tokens chosen by a
 * person.
 *
 * A long secret is compared at once, however many wrong ones came before. Nobody guesses 128 bits, and an attacker may
 * share an address with many people.
 *
 * A code is one of 31^6 = 887,503,681. One client tries 131,072 of them at once, then 4 a second: it has found the code
 * after a day with a probability of 0.05 %, and needs 3.5 years on average. All clients together try 524,288 at once,
 * then 16 a second: 0.2 % after a day, 320 days on average, however many addresses they come from. Until these are used
 * up, no right code waits. After that, a right code waits for up to two seconds behind the guesses of its own address;
 * if more are waiting already, the client is told to try again.
 */
export class Guesses {
  readonly #clock: Clock;
  readonly #byClient: Limiter;
  readonly #byAll: Limiter;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#byClient = new Limiter(guessesOfClient, longestWaitMs, clock.nowMs);
    this.#byAll = new Limiter(guessesOfAll, longestWaitMs, clock.nowMs);
  }

  /**
   * Reports whether a secret is one of the expected ones: before this returns, unless its client must wait.
   * @param client as named by `clientOf`
   * @returns a function that cancels a waiting comparison
   */
  check(
    client: string,
    expected: readonly string[],
    secret: string,
    onResult: (result: GuessResult) => void,
  ): () => void {
    // Compares every candidate, so that the time reveals nothing.
    const isRight = (): boolean =>
      expected.reduce((isSame, candidate) => sameSecret(candidate, secret) || isSame, false);
    const cancel = (): void => {};
    if (isLong(secret)) {
      onResult(isRight() ? 'right' : 'wrong');
      return cancel;
    }
    const crowd = this.#byClient.isRested(client) ? 'newcomers' : 'others';
    const waitMs = this.#reserve(client, crowd);
    const decide = (): void => {
      if (!isRight()) {
        onResult('wrong');
        return;
      }
      // Only wrong guesses count.
      this.#byClient.refund(client);
      this.#byAll.refund(crowd);
      onResult('right');
    };
    if (waitMs === 0) decide();
    else if (waitMs === undefined) onResult('busy');
    else return this.#clock.after(waitMs, decide);
    return cancel;
  }

  #reserve(client: string, crowd: string): number | undefined {
    const ofClient = this.#byClient.reserve(client);
    if (ofClient === undefined) return undefined;
    const ofAll = this.#byAll.reserve(crowd);
    if (ofAll !== undefined) return Math.max(ofClient, ofAll);
    this.#byClient.refund(client);
    return undefined;
  }
}

function isLong(secret: string): boolean {
  return secret.length >= longSecret;
}

/** The maximum size of one answer. */
export interface AnswerSize {
  readonly messages: number;
  readonly bytes: number;
}

interface BudgetLimits {
  readonly messages: Rate;
  readonly bytes: Rate;
  readonly answer: AnswerSize;
}

/** Before its welcome, a client sends `hello` and its socket's own pings. */
export const newcomerLimits: BudgetLimits = {
  messages: { capacity: 8, perSecond: 1 },
  bytes: { capacity: 16 * 1024, perSecond: 1024 },
  answer: { messages: 1, bytes: 0 },
};

/**
 * After its welcome, a worker sends not only its answers but also pings, messages about itself, and answers that are no
 * longer wanted.
 */
export function memberLimits(answer: AnswerSize): BudgetLimits {
  const { messages, bytes } = answer;
  return {
    messages: { capacity: 56 + 8 * messages, perSecond: 15 + messages },
    bytes: { capacity: 8 * bytes, perSecond: bytes + 64 * 1024 },
    answer,
  };
}

/** Requests of older steps get no answer any more. */
const stepsKept = 64;

/**
 * Limits what one connection may send: the answers to its requests, and a little more.
 *
 * Everything is charged as it arrives, before anything is decoded; a requested answer is refunded. Until then, the
 * account may be overdrawn by as many messages and bytes as all open requests explain.
 */
export class ConnectionBudget {
  readonly #answer: AnswerSize;
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** Requests by key; the value is the step that the answer is for. */
  readonly #open = new Map<string, number>();
  /** Remaining chunks of the last vector that was begun, if it was requested. */
  #chunksDue = 0;

  constructor({ messages, bytes, answer }: BudgetLimits, nowMs: () => number) {
    this.#answer = answer;
    this.#messages = new TokenBucket(messages, nowMs);
    this.#bytes = new TokenBucket(bytes, nowMs);
  }

  /** Records a request to the connection. @param step of a task; requests of old steps are forgotten */
  ask(request: string, step = Number.POSITIVE_INFINITY): void {
    this.#open.set(request, step);
    if (step === Number.POSITIVE_INFINITY) return;
    for (const [key, askedIn] of this.#open) if (askedIn < step - stepsKept) this.#open.delete(key);
  }

  /** Charges arrived messages and bytes; returns whether the connection stays within its budget. */
  charge(messages: number, bytes: number): boolean {
    this.#messages.spend(messages);
    this.#bytes.spend(bytes);
    const { size } = this.#open;
    const answer = this.#answer;
    return this.#messages.level + size * answer.messages >= 0 && this.#bytes.level + size * answer.bytes >= 0;
  }

  /**
   * Refunds a message if it answers an open request.
   * @param isVector whether chunks follow, perhaps between other messages
   */
  answer(request: string, bytes: number, isVector = false): void {
    const isOpen = this.#open.delete(request);
    if (isOpen) this.#refund(bytes);
    if (isVector) this.#chunksDue = isOpen ? this.#answer.messages - 1 : 0;
  }

  /** Refunds a chunk if its vector was requested and is not longer than allowed. */
  continueAnswer(bytes: number): void {
    if (this.#chunksDue === 0) return;
    this.#chunksDue -= 1;
    this.#refund(bytes);
  }

  #refund(bytes: number): void {
    this.#messages.spend(-1);
    this.#bytes.spend(-bytes);
  }
}

/** The entries of the address that has most of them. */
export function largestCrowd<T extends { readonly address: string }>(entries: Iterable<T>): readonly T[] {
  const crowds = new Map<string, T[]>();
  let largest: T[] = [];
  for (const entry of entries) {
    const crowd = crowds.get(entry.address) ?? [];
    crowds.set(entry.address, crowd);
    if (crowd.push(entry) > largest.length) largest = crowd;
  }
  return largest;
}

/** Counts of rejections by reason, raised wherever something is turned away. */
export type TurnedAwayCounts = { -readonly [Reason in keyof TurnedAway]: number };

export const newTurnedAwayCounts = (): TurnedAwayCounts => ({ ...nothingTurnedAway });

const mappedPrefix = '::ffff:';
/** Headers with which a relay names the client of a proxied request, and proves that it may do so. */
const clientHeader = 'x-lockstep-client';
const relayTokenHeader = 'x-lockstep-relay-token';
/** Headers that only a relay may add. */
export const relayHeaderNames = [clientHeader, relayTokenHeader];
/** Maximum length of a client's address together with those of the relays in front of it. */
const maxClientLength = 256;

/** An IPv4 address, or the first 64 bits of an IPv6 address, which belong to one subscriber. */
export function sourceOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return 'unknown';
  const address = remoteAddress.replace(/%.*$/, '').toLowerCase();
  if (address.startsWith(mappedPrefix) && address.includes('.')) return address.slice(mappedPrefix.length);
  if (!isIPv6(address)) return address;
  const [first = [], last] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = last && Array.from({ length: 8 - first.length - last.length }, () => '0');
  return `${[...first, ...(zeros ?? []), ...(last ?? [])].slice(0, 4).join(':')}::/64`;
}

/** The parts of an `IncomingMessage` that identify its client. */
interface ClientRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * The client that a request counts for: its address, and behind a relay also that of the relay's client. So one client
 * of a relay uses up nothing of the relay's own, or of its other clients.
 * @param token for joining, which a relay knows; a short one proves nothing, since it can be guessed here
 */
export function clientOf({ headers, socket }: ClientRequest, token: string | undefined): string {
  const source = sourceOf(socket.remoteAddress);
  const { [clientHeader]: client, [relayTokenHeader]: shown } = headers;
  if (typeof client !== 'string' || typeof shown !== 'string' || token === undefined || !isLong(token)) return source;
  return sameSecret(token, shown) ? `${source} ${client}`.slice(0, maxClientLength) : source;
}

/**
 * Headers with which a relay proxies a request.
 * @param token accepted by the coordinator; without one there are no headers
 */
export function relayHeaders(client: string, token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { [clientHeader]: client, [relayTokenHeader]: token };
}

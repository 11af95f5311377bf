/** Limits how often clients do something, compares the secrets that they guess, and counts what was turned away. */

import { sameSecret } from '@lockstep/protocol';
import type { Clock } from '@lockstep/training';
import { type TurnedAway, turnedAwayReasons } from '../record/report.ts';

/** Characters from which on a secret counts as long: a token that Lockstep makes has 22. */
const longSecret = 16;
const guessesOfClient: Rate = { capacity: 131_072, perSecond: 4 };
/** Clients without a wrong guess have a bucket of their own, so that those with many do not delay them. */
const guessesOfAll: Rate = { capacity: 262_144, perSecond: 8 };
/** Workers and viewers are to say who they are within five seconds. */
const longestWaitMs = 2_000;

export const busyMessage =
  'too many wrong codes were tried from this address: try again in a few seconds, or open the whole join address';
export const busyRetryMs = longestWaitMs;

/** `busy`: not compared, since guesses of this client wait already. */
export type GuessResult = 'right' | 'wrong' | 'busy';

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
   * Says whether a secret is one of those expected: before this returns, unless its client must wait.
   * @param client as of `clientOf`
   * @returns what cancels a comparison that waits
   */
  check(
    client: string,
    expected: readonly string[],
    secret: string,
    onResult: (result: GuessResult) => void,
  ): () => void {
    const compare = (): boolean =>
      expected.reduce((isRight, candidate) => sameSecret(candidate, secret) || isRight, false);
    const cancel = (): void => {};
    if (isLong(secret)) {
      onResult(compare() ? 'right' : 'wrong');
      return cancel;
    }
    const crowd = this.#byClient.isRested(client) ? 'newcomers' : 'others';
    const waitMs = this.#reserve(client, crowd);
    const decide = (): void => {
      const isRight = compare();
      // Only wrong ones count.
      if (isRight) this.#refund(client, crowd);
      onResult(isRight ? 'right' : 'wrong');
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
    if (ofAll === undefined) this.#byClient.refund(client);
    return ofAll === undefined ? undefined : Math.max(ofClient, ofAll);
  }

  #refund(client: string, crowd: string): void {
    this.#byClient.refund(client);
    this.#byAll.refund(crowd);
  }
}

/** Whether a secret is too long to be guessed. */
export function isLong(secret: string): boolean {
  return secret.length >= longSecret;
}

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

  /** Units left at this moment; below 0 if more were reserved than there were. */
  get level(): number {
    const nowMs = this.#nowMs();
    const { capacity, perSecond } = this.#rate;
    this.#level = Math.min(capacity, this.#level + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    return this.#level;
  }

  /** Whether nothing is missing that was spent. */
  get isFull(): boolean {
    return this.level >= this.#rate.capacity;
  }

  spend(amount: number): void {
    this.#level = this.level - amount;
  }

  refund(amount: number): void {
    this.#level = Math.min(this.#rate.capacity, this.level + amount);
  }
}

/** Clients in each of the two generations that a limiter remembers. */
const maxClients = 4_096;

/** Delays what a client does too often, in the order in which it comes, and refuses only what would wait for too long. */
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

  /** Milliseconds that a client must wait now, 0 if it need not; undefined if that is longer than it may wait. */
  reserve(client: string): number | undefined {
    const bucket = this.#bucketOf(client);
    const waitMs = Math.max(0, ((1 - bucket.level) / this.#rate.perSecond) * 1000);
    if (waitMs > this.#longestWaitMs) return undefined;
    bucket.spend(1);
    return waitMs;
  }

  /** Takes a reservation back. */
  refund(client: string): void {
    this.#bucketOf(client).refund(1);
  }

  /** Whether a client has done nothing lately. */
  isRested(client: string): boolean {
    return this.#find(client)?.isFull ?? true;
  }

  #bucketOf(client: string): TokenBucket {
    const bucket = this.#find(client) ?? new TokenBucket(this.#rate, this.#nowMs);
    if (this.#recent.size === maxClients && !this.#recent.has(client)) {
      // A map whose first entry is deleted again and again takes ever longer to find it.
      this.#earlier = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(client, bucket);
    return bucket;
  }

  #find(client: string): TokenBucket | undefined {
    return this.#recent.get(client) ?? this.#earlier.get(client);
  }
}

export type TurnedAwayReason = keyof TurnedAway;

export class TurnedAwayCounter {
  readonly #counts = new Map<TurnedAwayReason, number>();

  readonly count = (reason: TurnedAwayReason): void => {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  };

  total(): TurnedAway {
    const entries = turnedAwayReasons.map((reason) => [reason, this.#counts.get(reason) ?? 0]);
    return Object.fromEntries(entries) as TurnedAway;
  }
}

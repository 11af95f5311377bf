/** Limits the rate of each client's actions, with one bucket per client, and of guesses at secrets. */

import type { Clock } from '@lockstep/protocol';
import { sameSecret } from '@lockstep/protocol';
import { type TurnedAway, turnedAwayReasons } from '../record/report.ts';

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

  /** Whether everything that was spent has been refilled. */
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
    this.#bucketOf(client).refund(1);
  }

  /** Whether a client has not been active lately. */
  isRested(client: string): boolean {
    return this.#find(client)?.isFull ?? true;
  }

  #bucketOf(client: string): TokenBucket {
    const bucket = this.#find(client) ?? new TokenBucket(this.#rate, this.#nowMs);
    if (this.#recent.size === maxClients && !this.#recent.has(client)) {
      // Repeatedly deleting the first entry of a map becomes ever slower, so a whole generation is dropped at once.
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

/** Length from which a secret counts as long: a token made by Lockstep has 22 characters. */
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
      // Only wrong guesses count.
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

export type TurnedAwayReason = keyof TurnedAway;

/** Counts rejections, by reason. */
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

/**
 * Compares secrets with those that are expected, and limits guesses at the short ones: the room's code, and tokens that a
 * person has chosen.
 *
 * A long secret is compared at once, however many wrong ones came before. Nobody guesses 128 bits, and many people may
 * share the address of one who tries.
 *
 * A code is one of 31^6 = 887,503,681. One client tries 131,072 of them at once, then 4 a second: it has found the code
 * after a day with a probability of 0.05 %, and needs 3.5 years on average. All clients together try 524,288 at once, then
 * 16 a second: 0.2 % after a day, 320 days on average, however many addresses they come from. Until then no right code
 * waits. After that, it waits for up to two seconds behind the guesses of its own address; if more of them wait already,
 * it is told to come again.
 */
import { sameSecret } from '@lockstep/protocol';
import type { Clock } from '@lockstep/training';
import { Limiter, type Rate } from './limiter.ts';

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

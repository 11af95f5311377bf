/** Compares tokens, and slows an address down that guesses: after a few wrong ones each doubles the wait for the next. */
import { sameSecret } from '@lockstep/protocol';
import { AddressTable } from './address-table.ts';

/** Wrong tokens that cost no time: people copy addresses badly. */
const freeGuesses = 5;
const firstWaitMs = 1_000;
const longestWaitMs = 64_000;
/** An address without a wrong token for so long has a clean record. */
const forgetAfterMs = 600_000;
/** The same wrong token again, as of a page that was left open, is no new guess. */
const rememberedGuesses = 4;

interface Guesser {
  failures: number;
  lastFailureAtMs: number;
  notBeforeMs: number;
  readonly wrong: string[];
}

export type TokenCheck =
  | { readonly type: 'right' }
  | { readonly type: 'wrong' }
  /** Not compared: the address must wait. */
  | { readonly type: 'tooSoon'; readonly waitMs: number };

export class TokenGuesses {
  readonly #nowMs: () => number;
  readonly #guessers = new AddressTable<Guesser>(() => ({
    failures: 0,
    lastFailureAtMs: 0,
    notBeforeMs: 0,
    wrong: [],
  }));

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether a token that came from an address is one of those expected. */
  check(address: string, expected: readonly string[], token: string): TokenCheck {
    const guesser = this.#guessers.get(address);
    const nowMs = this.#nowMs();
    const isRight = expected.some((secret) => sameSecret(secret, token));
    const isTooSoon = nowMs < guesser.notBeforeMs;
    if (isRight && !isTooSoon) return { type: 'right' };
    if (isTooSoon) return { type: 'tooSoon', waitMs: guesser.notBeforeMs - nowMs };
    if (!guesser.wrong.includes(token)) this.#note(guesser, token, nowMs);
    return { type: 'wrong' };
  }

  #note(guesser: Guesser, token: string, nowMs: number): void {
    if (nowMs - guesser.lastFailureAtMs > forgetAfterMs) guesser.failures = 0;
    guesser.failures += 1;
    guesser.lastFailureAtMs = nowMs;
    guesser.wrong.push(token);
    if (guesser.wrong.length > rememberedGuesses) guesser.wrong.shift();
    const doublings = guesser.failures - freeGuesses;
    if (doublings >= 0) guesser.notBeforeMs = nowMs + Math.min(longestWaitMs, firstWaitMs * 2 ** doublings);
  }
}

export function tooSoonMessage(waitMs: number): string {
  const seconds = Math.ceil(waitMs / 1000);
  return `too many wrong tokens came from this address: try again in ${seconds} s`;
}

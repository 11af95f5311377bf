import { describe, expect, it } from 'vitest';
import { TokenGuesses } from '../src/guard/token-guesses.ts';

function setUp() {
  let nowMs = 0;
  const guesses = new TokenGuesses(() => nowMs);
  let guessed = 0;
  return {
    guess: (address = 'a') => guesses.check(address, ['secret'], `guess ${guessed++}`),
    show: (token: string, address = 'a') => guesses.check(address, ['other', 'secret'], token).type,
    wait(ms: number): void {
      nowMs += ms;
    },
  };
}

describe('guesses of a token', () => {
  it('cost nothing at first, and then each doubles the wait for the next', () => {
    const { guess, wait } = setUp();
    expect([1, 2, 3, 4, 5].map(() => guess().type)).toEqual(Array(5).fill('wrong'));
    for (let waitMs = 1_000; waitMs <= 64_000; waitMs *= 2) {
      expect(guess()).toEqual({ type: 'tooSoon', waitMs });
      wait(waitMs);
      expect(guess()).toEqual({ type: 'wrong' });
    }
    // The wait grows no further.
    expect(guess()).toEqual({ type: 'tooSoon', waitMs: 64_000 });
  });

  it('delay their own address, the right token included, and no other', () => {
    const { guess, show, wait } = setUp();
    for (let index = 0; index < 5; index++) guess();
    expect([show('secret'), show('secret', 'b')]).toEqual(['tooSoon', 'right']);
    wait(1_000);
    expect(show('secret')).toBe('right');
  });

  it('are forgotten after a while', () => {
    const { guess, wait } = setUp();
    for (let index = 0; index < 8; index++) {
      guess();
      wait(64_000);
    }
    wait(600_001);
    expect([1, 2, 3, 4, 5].map(() => guess().type)).toEqual(Array(5).fill('wrong'));
  });

  it('are no new guesses where the same token comes again, as from a page that was left open', () => {
    const { show } = setUp();
    for (let index = 0; index < 100; index++) expect(show('of an earlier run')).toBe('wrong');
    expect(show('secret')).toBe('right');
  });

  it('take a bounded amount of memory: the address that was silent for longest is forgotten', () => {
    const { guess, show } = setUp();
    for (let index = 0; index < 5; index++) guess();
    for (let address = 0; address < 4_096; address++) guess(`${address}`);
    expect(show('secret')).toBe('right');
  });
});

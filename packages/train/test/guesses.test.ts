import { describe, expect, it } from 'vitest';
import { clientOf, relayHeaders } from '../src/site/connections.ts';
import { Guesses, type GuessResult, Limiter } from '../src/site/limiter.ts';

const token = 'a-token-of-22-letters_';
const code = 'ABC234';
/** Guesses that one client may make at once, and all clients together. */
const [ofClient, ofCrowd] = [131_072, 262_144];
const longestWaitMs = 2_000;

function setUp() {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; call: () => void }>();
  const guesses = new Guesses({
    nowMs: () => nowMs,
    after(ms, call) {
      const timer = { atMs: nowMs + ms, call };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  });
  return {
    /** The results so far: empty while the secret waits. */
    show(secret: string, client = 'a'): { readonly results: GuessResult[]; readonly cancel: () => void } {
      const results: GuessResult[] = [];
      return { results, cancel: guesses.check(client, [token, code], secret, (result) => results.push(result)) };
    },
    guess(count: number, client = 'a', secret = 'WRONG2'): void {
      for (let index = 0; index < count; index++) guesses.check(client, [token, code], secret, () => {});
    },
    wait(ms: number): void {
      nowMs += ms;
      for (const timer of [...timers].sort((one, other) => one.atMs - other.atMs)) {
        if (timer.atMs > nowMs || !timers.delete(timer)) continue;
        timer.call();
      }
    },
  };
}

describe('a secret', () => {
  it.each([
    ['the token', token, 'right'],
    ['the code', code, 'right'],
    ['another token', 'A-token-of-22-letters_', 'wrong'],
    ['another code', 'ABC235', 'wrong'],
    ['nothing', '', 'wrong'],
  ] as const)('is compared at once: %s', (_name, secret, result) => {
    expect(setUp().show(secret).results).toEqual([result]);
  });

  it.each([
    ['long', 'g'.repeat(22), 300_000],
    ['short', 'WRONG2', ofClient + 8],
  ])(
    'that is right is let in at once after any number of %s guesses from its own address, if it is the token',
    (_name, wrong, count) => {
      const { guess, show } = setUp();
      guess(count, 'a', wrong);
      expect(show(token).results).toEqual(['right']);
    },
  );

  it.each([0, 30, 1_000, ofClient - 1])(
    'that is the code is let in at once after %i guesses from its own address',
    (count) => {
      const { guess, show } = setUp();
      guess(count);
      expect(show(code).results).toEqual(['right']);
    },
  );

  it('that is the code waits at most two seconds behind guesses of its address, and not at all behind those of others', () => {
    const { guess, show, wait } = setUp();
    guess(ofClient + 7);
    const late = show(code);
    expect([late.results, show(code, 'b').results]).toEqual([[], ['right']]);
    wait(longestWaitMs);
    expect(late.results).toEqual(['right']);
  });

  it('that waits is not compared once its client has gone', () => {
    const { guess, show, wait } = setUp();
    guess(ofClient);
    const late = show(code);
    late.cancel();
    wait(longestWaitMs);
    expect(late.results).toEqual([]);
  });

  it('that is the code costs nothing: a class may come back as often as it likes', () => {
    const { guess, show } = setUp();
    guess(ofClient - 1);
    for (let index = 0; index < 1_000; index++) expect(show(code).results).toEqual(['right']);
  });
});

describe('guesses at the code', () => {
  const guessers = ['one', 'another', 'a third'] as const;

  it.each([
    ['one client', 4, () => guessers[0]],
    ['any number of clients', 16, (index: number) => (index % 2 === 0 ? guessers[(index / 2) % 3]! : `new ${index}`)],
    ['guessers of before', 8, (index: number) => guessers[index % 3]!],
  ] as const)('of %s are compared so seldom that finding it takes most of a year', (_name, perSecond, clientOf) => {
    const { guess, show, wait } = setUp();
    // New clients come first: each makes the limiter forget a client that guessed long before.
    if (clientOf(1) === 'new 1') for (let client = 0; client < ofCrowd; client++) guess(1, `new ${-client}`);
    for (const client of guessers) guess(ofClient, client);
    const [seconds, results]: [number, GuessResult[][]] = [20, []];
    for (let index = 0; index < seconds * 1_000; index++) {
      results.push(show('WRONG2', clientOf(index)).results);
      wait(1);
    }
    wait(longestWaitMs);
    const compared = results.flat().filter((result) => result === 'wrong').length;
    expect(compared).toBeGreaterThanOrEqual(perSecond * seconds);
    expect(compared).toBeLessThanOrEqual(perSecond * (seconds + longestWaitMs / 1_000) + 2);
    const codes = 31 ** 6;
    expect(codes / 2 / perSecond / 86_400).toBeGreaterThan(300);
  });

  it('of many addresses keep out no address that has not guessed', () => {
    const { guess, show } = setUp();
    for (let client = 0; client < 4; client++) guess(ofClient, `guesser ${client}`);
    expect(show(code, 'honest').results).toEqual(['right']);
  });
});

describe('a limiter', () => {
  it('delays in the order in which clients come, refuses what would wait too long, and goes on afterwards', () => {
    let nowMs = 0;
    const limiter = new Limiter({ capacity: 3, perSecond: 2 }, 1_000, () => nowMs);
    const waits = () => Array.from({ length: 6 }, () => limiter.reserve('a'));
    expect(waits()).toEqual([0, 0, 0, 500, 1_000, undefined]);
    expect(limiter.reserve('b')).toBe(0);
    nowMs += 1_000;
    expect([limiter.reserve('a'), limiter.isRested('a')]).toEqual([500, false]);
    nowMs += 10_000;
    expect([limiter.isRested('a'), waits()]).toEqual([true, [0, 0, 0, 500, 1_000, undefined]]);
  });

  it('takes a bounded amount of memory: clients that were silent for long are forgotten', () => {
    const limiter = new Limiter({ capacity: 1, perSecond: 1 }, 0, () => 0);
    limiter.reserve('a');
    expect(limiter.isRested('a')).toBe(false);
    for (let client = 0; client < 2 * 4_096; client++) limiter.reserve(`${client}`);
    expect(limiter.isRested('a')).toBe(true);
  });
});

describe('the client of a request', () => {
  const socket = { remoteAddress: '192.168.1.7' };
  const behind = '192.168.1.7 10.0.0.3';

  it.each([
    ['from nowhere else', {}, token, '192.168.1.7'],
    ['that a relay passes on', relayHeaders('10.0.0.3', token), token, behind],
    ['that somebody else claims to pass on', relayHeaders('10.0.0.3', 'another-token-of-22-le'), token, '192.168.1.7'],
    ['that names a client alone', { 'x-lockstep-client': '10.0.0.3' }, token, '192.168.1.7'],
    ['where no token is needed', relayHeaders('10.0.0.3', token), undefined, '192.168.1.7'],
    ['with a token that can be guessed', relayHeaders('10.0.0.3', 'short'), 'short', '192.168.1.7'],
    ['of a relay behind a relay', relayHeaders(behind, token), token, `192.168.1.7 ${behind}`],
    ['with a long name', relayHeaders('9'.repeat(4_000), token), token, `192.168.1.7 ${'9'.repeat(244)}`],
  ])('%s', (_name, headers, expected, client) => {
    expect(clientOf({ headers, socket }, expected)).toBe(client);
  });
});

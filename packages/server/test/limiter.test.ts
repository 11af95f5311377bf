/** Limits of each client: guesses at secrets, silent connections, messages and bytes; and who a client is. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import {
  ConnectionBudget,
  clientOf,
  Guesses,
  type GuessResult,
  Limiter,
  newTurnedAwayCounts,
  relayHeaders,
  sourceOf,
} from '../src/limiter.ts';
import { Connections } from '../src/server.ts';

const token = 'a-token-of-22-letters_';
const code = 'ABC234';
/** Guesses that one client may make at once, and all clients together. */
const [ofClient, ofCrowd] = [131_072, 262_144];
const longestWaitMs = 2_000;

function openGuesses() {
  const clock = new VirtualClock();
  const guesses = new Guesses({ nowMs: () => clock.nowMs(), after: (ms, call) => clock.after(ms, call) });
  const check = (client: string, secret: string, onResult: (result: GuessResult) => void) =>
    guesses.check(client, [token, code], secret, onResult);
  return {
    /** The results so far: empty while the secret waits. */
    show(secret: string, client = 'a'): { readonly results: GuessResult[]; readonly cancel: () => void } {
      const results: GuessResult[] = [];
      return { results, cancel: check(client, secret, (result) => results.push(result)) };
    },
    guess(count: number, client = 'a', secret = 'WRONG2'): void {
      for (let index = 0; index < count; index++) check(client, secret, () => {});
    },
    wait(ms: number): void {
      let isOver = false;
      clock.after(ms, () => {
        isOver = true;
      });
      while (!isOver && clock.step());
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
    expect(openGuesses().show(secret).results).toEqual([result]);
  });

  it.each([
    ['the token', token, 300_000, 'g'.repeat(22)],
    ['the token', token, ofClient + 8, 'WRONG2'],
    ...[0, 30, 1_000, ofClient - 1].map((count) => ['the code', code, count, 'WRONG2'] as const),
  ] as const)(
    'is let in at once if it is %s (%s), after %i guesses like %s from its address',
    (_, right, count, wrong) => {
      const { guess, show } = openGuesses();
      guess(count, 'a', wrong);
      // A right secret costs nothing: a class may come back as often as it likes.
      for (let index = 0; index < 1_000; index++) expect(show(right).results).toEqual(['right']);
    },
  );

  it('that is the code waits at most two seconds behind guesses of its address, and not behind those of others', () => {
    const { guess, show, wait } = openGuesses();
    guess(ofClient + 6);
    const [gone, late] = [show(code), show(code)];
    gone.cancel();
    expect([late.results, show(code, 'b').results]).toEqual([[], ['right']]);
    wait(longestWaitMs);
    // A waiting secret is not compared once its client has gone.
    expect([late.results, gone.results]).toEqual([['right'], []]);
  });
});

describe('guesses at the code', () => {
  const guessers = ['one', 'another', 'a third'] as const;

  it.each([
    ['one client', 4, () => guessers[0]],
    ['any number of clients', 16, (index: number) => (index % 2 === 0 ? guessers[(index / 2) % 3]! : `new ${index}`)],
    ['guessers of before', 8, (index: number) => guessers[index % 3]!],
  ] as const)('of %s are compared so seldom that finding it takes most of a year', (_name, perSecond, guesserOf) => {
    const { guess, show, wait } = openGuesses();
    // New clients come first: each makes the limiter forget a client that guessed long before.
    if (guesserOf(1) === 'new 1') for (let client = 0; client < ofCrowd; client++) guess(1, `new ${-client}`);
    for (const client of guessers) guess(ofClient, client);
    const [seconds, results]: [number, GuessResult[][]] = [20, []];
    for (let index = 0; index < seconds * 1_000; index++) {
      results.push(show('WRONG2', guesserOf(index)).results);
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
    const { guess, show } = openGuesses();
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

describe('the budget of a connection', () => {
  const answerBytes = 1_000;

  function openBudget() {
    const clock = { nowMs: 0 };
    const rates = { messages: { capacity: 3, perSecond: 1 }, bytes: { capacity: 500, perSecond: 100 } };
    const answer = { messages: 3, bytes: answerBytes };
    const budget = new ConnectionBudget({ ...rates, answer }, () => clock.nowMs);
    /** Sends messages of this size; returns whether each stays within the budget. */
    const sends = (count: number, bytes: number, note: () => void = () => {}): boolean[] =>
      Array.from({ length: count }, () => {
        const isWithin = budget.charge(1, bytes);
        note();
        return isWithin;
      });
    return { budget, clock, sends };
  }

  it('lets some messages through at once, and then as many as time allows', () => {
    const { budget, clock, sends } = openBudget();
    expect(sends(4, 0)).toEqual([true, true, true, false]);
    clock.nowMs += 1_000;
    expect([budget.charge(0, 0), ...sends(1, 0)]).toEqual([true, false]);
  });

  it('does not grow beyond its capacity however long a connection is silent', () => {
    const { budget, clock } = openBudget();
    clock.nowMs += 3_600_000;
    expect([budget.charge(0, 500), budget.charge(0, 1)]).toEqual([true, false]);
  });

  it('pays for every answer to what was asked, in any number and size up to the bound', () => {
    const { budget } = openBudget();
    for (let step = 0; step < 1_000; step++) {
      budget.ask(`task ${step}`, step);
      expect([budget.charge(0, answerBytes), budget.charge(1, 0)]).toEqual([true, true]);
      budget.answer(`task ${step}`, answerBytes);
    }
  });

  it('pays once for an answer, and nothing for one that was not asked for', () => {
    const { budget, sends } = openBudget();
    budget.ask('task', 0);
    expect(sends(4, 200, () => budget.answer('task', 200))).toEqual([true, true, true, false]);
  });

  it('pays for the chunks of an answer that was asked for, with other answers between them, and for no more', () => {
    const { budget, sends } = openBudget();
    const chunk = (): void => budget.continueAnswer(100);
    for (let step = 0; step < 100; step++) {
      budget.ask(`task ${step}`, step);
      budget.ask('ping');
      const begun = sends(1, 100, () => budget.answer(`task ${step}`, 100, true));
      const first = sends(1, 100, chunk);
      const between = sends(1, 100, () => budget.answer('ping', 100));
      expect([...begun, ...first, ...between, ...sends(1, 100, chunk)]).toEqual([true, true, true, true]);
    }
    expect(sends(4, 100, chunk)).toEqual([true, true, true, false]);
  });

  it('pays for no chunk of an answer that was not asked for', () => {
    const { budget, sends } = openBudget();
    expect(sends(1, 0, () => budget.answer('other', 0, true))).toEqual([true]);
    expect(sends(3, 0, () => budget.continueAnswer(0))).toEqual([true, true, false]);
  });

  it('explains a frame on the way by an open request, which is forgotten many steps later', () => {
    const { budget } = openBudget();
    budget.ask('old', 0);
    expect(budget.charge(0, 1_400)).toBe(true);
    for (let step = 1; step < 100; step++) {
      budget.ask(`task ${step}`, step);
      budget.answer(`task ${step}`, 0);
    }
    expect(budget.charge(0, 0)).toBe(false);
  });
});

describe('silent connections', () => {
  function setUp(limits: { total: number; perAddress: number }) {
    const turnedAway = newTurnedAwayCounts();
    const connections = new Connections(turnedAway, limits);
    const open = new Map<string, Socket>();
    /** @param name `a1` is a connection of address `a` */
    const add = (...names: readonly string[]): void => {
      for (const name of names) {
        const destroy = (): void => {
          open.delete(name);
          socket.emit('close');
        };
        const place = { remoteAddress: name[0], remotePort: Number(name[1]), destroy };
        const socket = Object.assign(new EventEmitter(), place) as unknown as Socket;
        open.set(name, socket);
        connections.add(socket);
      }
    };
    return { connections, turnedAway, add, open, names: () => [...open.keys()] };
  }

  it('lose the oldest of an address that has too many', () => {
    const { add, names, turnedAway } = setUp({ total: 10, perAddress: 2 });
    add('a1', 'a2', 'a3', 'b1');
    expect([names(), turnedAway.silent]).toEqual([['a2', 'a3', 'b1'], 1]);
  });

  it('lose the oldest of the address that has most if there are too many in all', () => {
    const { add, names } = setUp({ total: 3, perAddress: 3 });
    add('b1', 'a1', 'a2', 'c1');
    expect(names()).toEqual(['b1', 'a2', 'c1']);
  });

  it('stay once they have shown what they are for, and those that ended make room', () => {
    const { connections, add, open, names } = setUp({ total: 10, perAddress: 1 });
    add('a1');
    connections.settle(open.get('a1')!);
    connections.settle(open.get('a1')!);
    add('a2');
    expect(names()).toEqual(['a1', 'a2']);
    add('a3');
    expect(names()).toEqual(['a1', 'a3']);
    open.get('a3')!.destroy();
    add('a4');
    expect(names()).toEqual(['a1', 'a4']);
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

  it.each([
    ['192.168.1.7', '192.168.1.7'],
    ['::ffff:192.168.1.7', '192.168.1.7'],
    ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    [undefined, 'unknown'],
  ])('at %s counts for %s', (remoteAddress, source) => {
    expect(sourceOf(remoteAddress)).toBe(source);
  });
});

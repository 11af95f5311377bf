import { describe, expect, it } from 'vitest';
import { ConnectionBudget } from '../src/site/guarded-transport.ts';

const answerBytes = 1_000;

function setUp() {
  let nowMs = 0;
  const rates = { messages: { capacity: 3, perSecond: 1 }, bytes: { capacity: 500, perSecond: 100 } };
  const budget = new ConnectionBudget({ ...rates, answer: { messages: 3, bytes: answerBytes } }, () => nowMs);
  const wait = (ms: number): void => {
    nowMs += ms;
  };
  return { budget, wait };
}

describe('the budget of a connection', () => {
  it('lets some messages through at once, and then as many as time allows', () => {
    const { budget, wait } = setUp();
    expect([1, 2, 3, 4].map(() => budget.charge({ messages: 1 }))).toEqual([true, true, true, false]);
    wait(1_000);
    expect(budget.charge({})).toBe(true);
    expect(budget.charge({ messages: 1 })).toBe(false);
  });

  it('does not grow beyond its capacity however long a connection is silent', () => {
    const { budget, wait } = setUp();
    wait(3_600_000);
    expect(budget.charge({ bytes: 500 })).toBe(true);
    expect(budget.charge({ bytes: 1 })).toBe(false);
  });

  it('pays for every answer to what was asked, in any number and size up to the bound', () => {
    const { budget } = setUp();
    for (let step = 0; step < 1_000; step++) {
      budget.ask(`task ${step}`, step);
      expect(budget.charge({ bytes: answerBytes })).toBe(true);
      expect(budget.charge({ messages: 1 })).toBe(true);
      budget.answer(`task ${step}`, answerBytes);
    }
  });

  it('pays once for an answer, and nothing for one that was not asked for', () => {
    const { budget } = setUp();
    budget.ask('task', 0);
    const sends = (): boolean => {
      const isWithin = budget.charge({ messages: 1, bytes: 200 });
      budget.answer('task', 200);
      return isWithin;
    };
    expect([1, 2, 3, 4].map(sends)).toEqual([true, true, true, false]);
  });

  it('pays for the chunks of an answer that was asked for, with other answers between them, and for no more', () => {
    const { budget } = setUp();
    const sends = (note: () => void, count: number): boolean[] =>
      Array.from({ length: count }, () => {
        const isWithin = budget.charge({ messages: 1, bytes: 100 });
        note();
        return isWithin;
      });
    for (let step = 0; step < 100; step++) {
      budget.ask(`task ${step}`, step);
      budget.ask('ping');
      const begun = sends(() => budget.beginAnswer(`task ${step}`, 100), 1);
      const first = sends(() => budget.continueAnswer(100), 1);
      const between = sends(() => budget.answer('ping', 100), 1);
      const second = sends(() => budget.continueAnswer(100), 1);
      expect([begun, first, between, second].flat()).toEqual([true, true, true, true]);
    }
    expect(sends(() => budget.continueAnswer(100), 4)).toEqual([true, true, true, false]);
  });

  it('pays for no chunk of an answer that was not asked for', () => {
    const { budget } = setUp();
    expect(budget.charge({ messages: 1 })).toBe(true);
    budget.beginAnswer('other', 0);
    for (const isWithin of [true, true, false]) {
      expect(budget.charge({ messages: 1 })).toBe(isWithin);
      budget.continueAnswer(0);
    }
  });

  it('explains a frame on the way by an open request, which is forgotten many steps later', () => {
    const { budget } = setUp();
    budget.ask('old', 0);
    expect(budget.charge({ bytes: 1_400 })).toBe(true);
    for (let step = 1; step < 100; step++) {
      budget.ask(`task ${step}`, step);
      budget.answer(`task ${step}`, 0);
    }
    expect(budget.charge({})).toBe(false);
  });
});

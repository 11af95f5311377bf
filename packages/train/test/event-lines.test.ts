import type { CoordinatorState, RunEvent } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { EventLines } from '../src/record/event-lines.ts';

const workers = ['w1', 'w2'].map(
  (id) => [id, { id, name: `name-${id}`, kind: 'node', backend: 'cpu', threads: 1 }] as const,
);
const state = { records: new Map(workers) } as unknown as CoordinatorState;

function setUp() {
  let now = 0;
  const lines = new EventLines(() => now);
  return {
    eventOf: (event: RunEvent) => lines.eventOf(event, state),
    lineOf: (event: RunEvent) => lines.eventOf(event, state)?.message,
    late: (workerId: string, step: number) => lines.eventOf({ type: 'late', workerId, step }, state)?.message,
    wait: (ms: number) => (now += ms),
  };
}

describe('a worker that is late', () => {
  it('gets one line, and later one with how often it was late', () => {
    const { late, wait } = setUp();
    expect(late('w1', 9)).toBe('w1 name-w1 is late with step 10: other workers get its work, too');
    for (let step = 10; step < 40; step++) {
      wait(500);
      expect(late('w1', step)).toBeUndefined();
    }
    wait(20_000);
    expect(late('w1', 50)).toBe(
      'w1 name-w1 is late with step 51: other workers get its work, too (and 30 times more in the last 35 s)',
    );
    expect(late('w1', 51)).toBeUndefined();
    wait(30_000);
    expect(late('w1', 60)).toMatch(/ \(and once more in the last 30 s\)$/);
    wait(30_000);
    expect(late('w1', 70)).toMatch(/get its work, too$/);
  });

  it('hides no line of other workers or events', () => {
    const { late, lineOf, eventOf } = setUp();
    late('w1', 1);
    expect(late('w2', 1)).toMatch(/^w2 name-w2 is late/);
    const left: RunEvent = { type: 'left', workerId: 'w1', message: 'the connection broke' };
    expect(eventOf({ type: 'rejected', workerId: 'w1', message: 'x' })).toMatchObject({ worker: { id: 'w1' } });
    expect([lineOf(left), lineOf(left)]).toEqual(Array(2).fill('w1 name-w1 left: the connection broke'));
  });
});

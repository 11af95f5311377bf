import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { initialLease, type LeaseEvent, LeaseKeeper, type LeaseState, leaseMs, transition } from '../src/lease.ts';
import { type Link, MemoryStore } from './memory-store.ts';
import { VirtualTime } from './virtual-time.ts';

const { life } = leaseMs;
type StoredLease = Extract<LeaseEvent, { type: 'read' }>['stored'];

const held = (revision: number, holder?: string) => ({ revision, holder });
const follower = (seen: StoredLease, sinceMs: number): LeaseState => ({ role: 'follower', seen, sinceMs });
const leader = (revision: number): LeaseState => ({ role: 'leader', revision });
const read = (stored: StoredLease, nowMs = 1): LeaseEvent => ({ type: 'read', stored, nowMs });
const written: LeaseEvent = { type: 'written', revision: 5 };
const unreachable: LeaseEvent = { type: 'unreachable', nowMs: 8 };
const deposed: LeaseState = { role: 'deposed', holder: 'other' };
const update = (revision: number) => ({ type: 'update', revision });
const [other, changed, free, own] = [held(4, 'other'), held(5, 'other'), held(5), held(8, 'self')];
const waiting = follower(other, 0);

describe('transition', () => {
  it.each<[title: string, LeaseState, LeaseEvent, expected: LeaseState, action?: object]>([
    ['a follower reads first', initialLease, { type: 'tick' }, initialLease, { type: 'read' }],
    ['it creates what is not there', initialLease, read(undefined), follower(undefined, 1), { type: 'create' }],
    ['it waits if it sees a lease for the first time', initialLease, read(other, 9), follower(other, 9)],
    ['it waits again if the revision has changed', waiting, read(changed, life), follower(changed, life)],
    ['it waits until a life is over', waiting, read(other, life - 1), waiting],
    ['then it takes the lease', waiting, read(other, life), waiting, update(4)],
    ['one that was given back is taken at once', waiting, read(free), follower(free, 1), update(5)],
    ['silence of the store says nothing of the leader', waiting, unreachable, follower(other, 8)],
    ['what it wrote is its own', waiting, written, leader(5)],
    ['also if the answer was lost', waiting, read(own), leader(8)],
    ['a leader renews', leader(7), { type: 'tick' }, leader(7), update(7)],
    ['it goes on while the store is silent', leader(7), unreachable, leader(7)],
    ['it looks if another write came first', leader(7), { type: 'conflict' }, leader(7), { type: 'read' }],
    ['its own write is no conflict', leader(7), read(own), leader(8)],
    ['it creates again what the store has lost', leader(7), read(undefined), leader(7), { type: 'create' }],
    ['it is deposed by another holder alone', leader(7), read(held(8, 'other')), deposed],
  ])('%s', (_title, state, event, expected, action) => {
    const step = transition(state, event, 'self');
    expect(step.state).toEqual(expected);
    expect(step.action).toEqual(action);
  });
});

describe('several processes that reach one store over links with faults', () => {
  class Process {
    state = initialLease;
    readonly link: Link;
    readonly keeper: LeaseKeeper;

    constructor(store: MemoryStore, time: VirtualTime, name: string) {
      this.link = store.link();
      const onEvent = (_event: LeaseEvent, state: LeaseState): void => {
        this.state = state;
      };
      this.keeper = new LeaseKeeper({
        values: this.link.values,
        key: 'lease',
        self: { id: name, name },
        time,
        onEvent,
      });
    }
  }

  /** Processes that begin with one store, at one time. */
  const begin = (...names: string[]) => {
    const [store, time] = [new MemoryStore(), new VirtualTime()];
    return { store, time, processes: names.map((name) => new Process(store, time, name)) };
  };

  const holds = (store: MemoryStore, { state }: Process): boolean =>
    state.role === 'leader' && state.revision === store.values.get('lease')?.revision;

  const change = fc.record({
    process: fc.nat({ max: 2 }),
    fault: fc.constantFrom('none', 'cut', 'deaf'),
    forMs: fc.nat({ max: 9_000 }),
  });

  it('at most one holds the newest revision, and when the faults are over exactly one, within a life and two renewals', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const { store, time, processes } = begin('a', 'b', 'c');
        for (const { process, fault, forMs } of changes) {
          processes[process]!.link.fault = fault as Link['fault'];
          await time.advance(forMs);
          expect(processes.filter((one) => holds(store, one)).length).toBeLessThanOrEqual(1);
        }
        for (const { link } of processes) link.fault = 'none';
        await time.advance(life + 2 * leaseMs.renewEvery);
        const leaders = processes.filter(({ state }) => state.role === 'leader');
        const isOver = processes.every(({ state }) => state.role === 'deposed');
        expect(leaders.filter((one) => holds(store, one))).toHaveLength(isOver ? 0 : 1);
        expect(leaders).toHaveLength(isOver ? 0 : 1);
      }),
      { numRuns: 100 },
    );
  });

  it('while the store is away for all, no leader loses its lease', async () => {
    const { time, processes } = begin('a', 'b');
    await time.advance(3_000);
    for (const { link } of processes) link.fault = 'cut';
    await time.advance(60_000);
    // The follower reaches the store first.
    processes[1]!.link.fault = 'none';
    await time.advance(1_500);
    processes[0]!.link.fault = 'none';
    await time.advance(20_000);
    expect(processes.map(({ state }) => state.role)).toEqual(['leader', 'follower']);
  });

  it('a leader that gives its lease back is followed at the next renewal', async () => {
    const { time, processes } = begin('a', 'b');
    await time.advance(3_000);
    const released = processes[0]!.keeper.release();
    await time.advance(leaseMs.renewEvery);
    await released;
    expect(processes[1]!.state.role).toBe('leader');
  });
});

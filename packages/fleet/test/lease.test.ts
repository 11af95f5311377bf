import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { initialLease, type LeaseEvent, LeaseKeeper, type LeaseState, leaseMs, transition } from '../src/lease.ts';
import { type Link, MemoryStore } from './memory-store.ts';
import { VirtualTime } from './virtual-time.ts';

const { life } = leaseMs;
const other = { revision: 4, holder: 'other' };
const follower = (sinceMs: number): LeaseState => ({ role: 'follower', seen: other, sinceMs });
const leader: LeaseState = { role: 'leader', revision: 7 };

describe('transition', () => {
  it.each<[string, LeaseState, LeaseEvent, LeaseState, object | undefined]>([
    ['a follower reads first', initialLease, { type: 'tick' }, initialLease, { type: 'read' }],
    [
      'it creates what is not there',
      initialLease,
      { type: 'read', stored: undefined, nowMs: 1 },
      { role: 'follower', seen: undefined, sinceMs: 1 },
      { type: 'create' },
    ],
    [
      'it waits where it sees a lease for the first time',
      initialLease,
      { type: 'read', stored: other, nowMs: 9 },
      follower(9),
      undefined,
    ],
    [
      'it waits again where the revision has changed',
      follower(0),
      { type: 'read', stored: { ...other, revision: 5 }, nowMs: life },
      { role: 'follower', seen: { ...other, revision: 5 }, sinceMs: life },
      undefined,
    ],
    [
      'it waits until a life is over',
      follower(0),
      { type: 'read', stored: other, nowMs: life - 1 },
      follower(0),
      undefined,
    ],
    [
      'then it takes the lease',
      follower(0),
      { type: 'read', stored: other, nowMs: life },
      follower(0),
      { type: 'update', revision: 4 },
    ],
    [
      'one that was given back is taken at once',
      follower(0),
      { type: 'read', stored: { revision: 5, holder: undefined }, nowMs: 1 },
      { role: 'follower', seen: { revision: 5, holder: undefined }, sinceMs: 1 },
      { type: 'update', revision: 5 },
    ],
    [
      'silence of the store says nothing of the leader',
      follower(0),
      { type: 'unreachable', nowMs: 8 },
      follower(8),
      undefined,
    ],
    [
      'what it wrote is its own',
      follower(0),
      { type: 'written', revision: 5 },
      { role: 'leader', revision: 5 },
      undefined,
    ],
    [
      'also where the answer was lost',
      follower(0),
      { type: 'read', stored: { revision: 5, holder: 'self' }, nowMs: 1 },
      { role: 'leader', revision: 5 },
      undefined,
    ],
    ['a leader renews', leader, { type: 'tick' }, leader, { type: 'update', revision: 7 }],
    ['it goes on where the store is silent', leader, { type: 'unreachable', nowMs: 99_999 }, leader, undefined],
    ['it looks where another write came first', leader, { type: 'conflict' }, leader, { type: 'read' }],
    [
      'its own write is no conflict',
      leader,
      { type: 'read', stored: { revision: 8, holder: 'self' }, nowMs: 1 },
      { role: 'leader', revision: 8 },
      undefined,
    ],
    [
      'it creates again what the store has lost',
      leader,
      { type: 'read', stored: undefined, nowMs: 1 },
      leader,
      { type: 'create' },
    ],
    [
      'it is deposed by another holder alone',
      leader,
      { type: 'read', stored: { revision: 8, holder: 'other' }, nowMs: 1 },
      { role: 'deposed', holder: 'other' },
      undefined,
    ],
  ])('%s', (_title, state, event, expected, action) => {
    const step = transition(state, event, 'self');
    expect(step.state).toEqual(expected);
    expect(step.action).toEqual(action);
  });
});

describe('several processes that reach one store over links with faults', () => {
  interface Process {
    readonly link: Link;
    readonly keeper: LeaseKeeper;
    state: LeaseState;
  }

  function begin(store: MemoryStore, time: VirtualTime, name: string): Process {
    const link = store.link();
    const process: { -readonly [Key in keyof Process]?: Process[Key] } = { link, state: initialLease };
    process.keeper = new LeaseKeeper({
      values: link.values,
      key: 'lease',
      self: { id: name, name },
      time,
      onEvent: (_event, state) => {
        process.state = state;
      },
    });
    return process as Process;
  }

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
        const [store, time] = [new MemoryStore(), new VirtualTime()];
        const processes = ['a', 'b', 'c'].map((name) => begin(store, time, name));
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
    const [store, time] = [new MemoryStore(), new VirtualTime()];
    const processes = ['a', 'b'].map((name) => begin(store, time, name));
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
    const [store, time] = [new MemoryStore(), new VirtualTime()];
    const [first, second] = ['a', 'b'].map((name) => begin(store, time, name)) as [Process, Process];
    await time.advance(3_000);
    await first.keeper.release();
    await time.advance(leaseMs.renewEvery);
    expect(second.state.role).toBe('leader');
  });
});

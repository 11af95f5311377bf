import { afterEach, describe, expect, it } from 'vitest';
import type { FleetCoordinator } from '../src/coordinator.ts';
import type { CoordinatorFinder, FinderChoices } from '../src/finder.ts';
import { Fleet } from '../src/fleet.ts';
import { leaseMs } from '../src/lease.ts';
import type { FleetRun } from '../src/records.ts';
import { type Link, MemoryStore } from './memory-store.ts';
import { VirtualTime } from './virtual-time.ts';

const run = 'mnist';
let [store, time] = [new MemoryStore(), new VirtualTime()];

afterEach(() => {
  [store, time] = [new MemoryStore(), new VirtualTime()];
});

interface Begun {
  readonly coordinator: FleetCoordinator;
  readonly link: Link;
  readonly lines: string[];
  readonly leaving: AbortController;
}

function begin(name: string, standby = true): Begun {
  const [link, lines, leaving] = [store.link(), [] as string[], new AbortController()];
  const options = { standby, name, signal: leaving.signal, log: (line: string) => void lines.push(line) };
  return { coordinator: new Fleet(link, run, time).coordinator(options), link, lines, leaving };
}

const claim = (seed: number): FleetRun => ({
  config: JSON.stringify({ seed }),
  differenceFrom: (other) => `expected seed ${JSON.parse(other).seed}, got ${seed}`,
});

/** Begins a coordinator that leads the run and has announced where it can be joined. */
async function announced(token?: string): Promise<Begun> {
  const begun = begin('a');
  await opened(begun);
  await begun.coordinator.announce({ url: 'ws://a/', ...(token !== undefined && { token }) });
  return begun;
}

/** Opens the coordinator while virtual time advances. */
async function opened({ coordinator }: Begun, seed = 1): Promise<string> {
  const end = coordinator.open(claim(seed)).then(
    () => 'leads',
    (error: Error) => error.message,
  );
  return time.during(end);
}

describe('a coordinator', () => {
  it('leads at once if it is the first; another one that is not a standby leads only once the first was killed', async () => {
    const first = begin('a');
    expect(await opened(first)).toBe('leads');
    expect(await opened(begin('b', false))).toBe(
      'run mnist of the fleet at memory has a coordinator, on a: use --standby to wait until it ends',
    );
    first.link.fault = 'cut';
    expect(await opened(begin('b', false))).toBe('leads');
  });

  it('waits as a standby, and leads within a life and two renewals of the end of the other', async () => {
    const [first, second] = [begin('a'), begin('b')];
    await opened(first);
    expect(await opened(second)).toBe('waits');
    expect(second.lines).toEqual([
      'Standby: a leads run mnist of the fleet at memory; this coordinator takes over if it fails.',
    ]);
    first.link.fault = 'cut';
    await time.advance(leaseMs.life + 2 * leaseMs.renewEvery);
    first.link.fault = 'none';
    await time.advance(leaseMs.renewEvery);
    expect(first.coordinator.deposed.aborted).toBe(true);
    expect(first.coordinator.deposed.reason.message).toBe(
      'b leads run mnist of the fleet at memory now, because the lease of this coordinator expired',
    );
  });

  it('with another configuration is refused', async () => {
    await opened(begin('a'));
    expect(await opened(begin('b'), 2)).toBe(
      'mnist has another configuration in this fleet: expected seed 1, got 2; use another name for another run',
    );
  });

  it('is refused if the store does not answer at the start', async () => {
    const begun = begin('a');
    begun.link.fault = 'cut';
    expect(await opened(begun)).toBe('run mnist of the fleet at memory: no answer');
  });

  it('goes on while the store is away, says so once, and leads on when it is back', async () => {
    const begun = begin('a');
    await opened(begun);
    begun.link.fault = 'cut';
    await time.advance(60_000);
    begun.link.fault = 'none';
    await time.advance(2_000);
    expect(begun.coordinator.deposed.aborted).toBe(false);
    expect(begun.lines).toEqual([
      'run mnist of the fleet at memory does not answer; training continues without a lease and checkpoints until it does',
      'run mnist of the fleet at memory answers again; this coordinator leads it',
    ]);
  });

  it('that waits says once that the store does not answer', async () => {
    const [first, second] = [begin('a'), begin('b')];
    await opened(first);
    void second.coordinator.open(claim(1));
    await time.advance(1_000);
    second.link.fault = 'cut';
    await time.advance(60_000);
    expect(second.lines.slice(1)).toEqual([
      'run mnist of the fleet at memory does not answer; nobody takes over until it does',
    ]);
  });

  it('that waits is ended by its signal, and leaves the lease alone', async () => {
    const [first, second] = [begin('a'), begin('b')];
    await opened(first);
    const opening = second.coordinator.open(claim(1));
    await time.advance(1_000);
    second.leaving.abort();
    await expect(opening).rejects.toBe(second.leaving.signal.reason);
    await time.advance(20_000);
    expect(first.coordinator.deposed.aborted).toBe(false);
  });

  it('shares the secret of the run with those that follow', async () => {
    const [first, second] = [begin('a').coordinator, begin('b').coordinator];
    const tokens = await Promise.all([first.token(() => 'one'), second.token(() => 'two')]);
    expect(tokens[1]).toBe(tokens[0]);
  });
});

describe('checkpoints', () => {
  const bytes = (value: number): Uint8Array => new Uint8Array(64).fill(value);

  it('are listed by their steps, and the last three that were written are kept', async () => {
    const { coordinator } = begin('a');
    for (const step of [10, 40, 20, 30]) await coordinator.write('1', step, bytes(step));
    const listed = await coordinator.list();
    expect(listed.map(({ step }) => step)).toEqual([40, 30, 20]);
    expect(await listed[0]!.read()).toEqual(bytes(40));
    expect(store.objects.size).toBe(3);
  });

  it('of the end of a run wait for a store that does not answer, but not forever', async () => {
    const { coordinator, link } = begin('a');
    await coordinator.untilItAnswers();
    link.fault = 'cut';
    const ends: string[] = [];
    const wait = (name: string) => coordinator.untilItAnswers().then(() => void ends.push(name));
    const first = wait('answered');
    await time.advance(5_000);
    expect(ends).toEqual([]);
    link.fault = 'none';
    await time.during(first);
    link.fault = 'cut';
    await time.during(wait('in vain'));
    expect(ends).toEqual(['answered', 'in vain']);
  });

  it('of steps after the one that the run went back to are removed', async () => {
    const { coordinator } = begin('a');
    for (const step of [10, 20, 30]) await coordinator.write('1', step, bytes(step));
    await coordinator.removeAfter('1', 10);
    expect((await coordinator.list()).map(({ step }) => step)).toEqual([10]);
    expect(store.objects.size).toBe(1);
    await coordinator.removeAfter('1', 10);
    await begin('b').coordinator.removeAfter('1', 0);
    expect(await coordinator.list()).toEqual([]);
  });

  it('of two leaders at one time are all listed', async () => {
    const both = [begin('a').coordinator, begin('b').coordinator];
    await Promise.all(both.map((coordinator, index) => coordinator.write('1', index, bytes(index))));
    expect((await both[0]!.list()).map(({ step }) => step)).toEqual([1, 0]);
  });

  it('that were changed or lost in the store are refused when they are read', async () => {
    const { coordinator } = begin('a');
    await coordinator.write('1', 1, bytes(1));
    const [listed] = await coordinator.list();
    const [[name] = []] = store.objects;
    store.objects.set(name!, bytes(2));
    await expect(listed!.read()).rejects.toThrow('its SHA-256 is not the one that is listed');
    store.objects.delete(name!);
    await expect(listed!.read()).rejects.toThrow('it is listed, and not in the store');
  });

  it('are read ahead by a standby', async () => {
    const [first, second] = [begin('a'), begin('b')];
    await opened(first);
    await first.coordinator.write('1', 7, bytes(7));
    const opening = second.coordinator.open(claim(1));
    await time.advance(3_000);
    store.objects.clear();
    first.link.fault = 'cut';
    await time.advance(8_000);
    await opening;
    const [newest] = await second.coordinator.list();
    expect(await newest!.read()).toEqual(bytes(7));
  });
});

describe('a worker', () => {
  const finder = (choices?: FinderChoices): CoordinatorFinder => new Fleet(store.link(), run, time).finder(choices);
  const { signal } = new AbortController();

  it('finds the coordinator with its token, then the one that follows, then that the run is over', async () => {
    const [first, second, worker] = [begin('a'), begin('b'), finder()];
    await expect(worker.find()).rejects.toThrow('no coordinator leads run mnist of the fleet at memory');
    await opened(first);
    await first.coordinator.announce({ url: 'ws://a/', token: 'secret' });
    expect(await worker.find()).toMatchObject({ url: 'ws://a/', token: 'secret' });
    const changed = worker.changed(signal);
    first.link.fault = 'cut';
    void second.coordinator
      .open(claim(1))
      .then(() => second.coordinator.announce({ url: 'ws://b/', fingerprint: 'ff' }));
    expect(await time.during(changed)).toBe(true);
    expect(await worker.find()).toMatchObject({ url: 'ws://b/', token: undefined, fingerprint: 'ff' });
    await second.coordinator.finish();
    expect(await worker.find()).toBeUndefined();
  });

  const relaysOf = (count: number) =>
    Array.from({ length: count }, (_, number) => ({ url: `ws://relay-${number}/`, workers: number }));

  it('finds a connected relay, or the coordinator if that relay is not there', async () => {
    const first = await announced('secret');
    await first.coordinator.announceRelays([{ url: 'wss://relay/', fingerprint: 'ff', workers: 3 }]);
    const worker = finder({ random: () => 0.5 });
    const places = [await worker.find(), await worker.find(), await worker.find()];
    expect(places).toEqual([
      { url: 'wss://relay/', fingerprint: 'ff', token: 'secret' },
      { url: 'ws://a/', fingerprint: undefined, token: 'secret' },
      { url: 'wss://relay/', fingerprint: 'ff', token: 'secret' },
    ]);
    expect(await finder().find()).toMatchObject({ url: 'ws://a/' });
    await first.coordinator.announceRelays([]);
    expect(await worker.find()).toMatchObject({ url: 'ws://a/' });
  });

  it('finds the one of two relays that has fewer workers, and no relay of an earlier coordinator', async () => {
    const [first, second] = [await announced(), begin('b')];
    await first.coordinator.announceRelays(relaysOf(4));
    const draws = [0.9, 0.3];
    const worker = finder({ random: () => draws.shift() ?? 0 });
    expect(await worker.find()).toMatchObject({ url: 'ws://relay-1/' });
    const changed = worker.changed(signal);
    first.link.fault = 'cut';
    void second.coordinator.open(claim(1)).then(() => second.coordinator.announce({ url: 'ws://b/' }));
    expect(await time.during(changed)).toBe(true);
    expect(await worker.find()).toMatchObject({ url: 'ws://b/' });
  });

  it('waits for another coordinator no longer than a takeover may last', async () => {
    await announced('secret');
    // A given token takes precedence over the fleet's.
    const worker = finder({ token: 'given' });
    expect(await worker.find()).toMatchObject({ token: 'given' });
    expect(await time.during(worker.changed(signal))).toBe(false);
  });

  it.each([
    ['everything', () => store.values.clear()],
    ['its address alone', () => store.values.delete(`${run}.address`)],
  ])('finds the coordinator also after the store has lost %s', async (_, lose) => {
    const [first, worker] = [await announced('secret'), finder()];
    lose();
    await time.advance(6_000);
    expect(await worker.find()).toMatchObject({ url: 'ws://a/', token: 'secret' });
    expect(first.coordinator.deposed.aborted).toBe(false);
  });

  it('finds the coordinator also if another one has announced itself under a lost lease of the same revision', async () => {
    await announced();
    const worker = finder();
    const key = `${run}.address`;
    const { value, revision } = store.values.get(key)!;
    store.values.set(key, { value: value.replace('ws://a/', 'ws://b/'), revision });
    expect(await worker.find()).toMatchObject({ url: 'ws://b/' });
    await time.advance(6_000);
    expect(await worker.find()).toMatchObject({ url: 'ws://a/' });
  });

  it('is told of a coordinator whose first announcement did not arrive', async () => {
    const [first, worker] = [begin('a'), finder()];
    await opened(first);
    first.link.fault = 'cut';
    await first.coordinator.announce({ url: 'ws://a/' });
    first.link.fault = 'none';
    await time.advance(2_000);
    expect(await worker.find()).toMatchObject({ url: 'ws://a/' });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardKey } from '../src/tree.ts';
import { createRoom, type Room, type RoomOptions, type Task } from './room.ts';

/** How often each thing happens, against the others: mostly work, and of every kind of trouble a little. */
const deeds = {
  open: 1,
  join: 4,
  hello: 1,
  return: 2,
  prove: 2,
  answer: 20,
  'answer all': 30,
  'answer anything': 2,
  'answer old': 2,
  fail: 1,
  'not finite': 1,
  pong: 6,
  bye: 1,
  close: 2,
  garbage: 1,
  distrust: 1,
  tick: 12,
  wait: 3,
} as const;

interface Deed {
  readonly deed: keyof typeof deeds;
  /** Which connection, counted round. */
  readonly who: number;
  /** Which shard, how long, how fast. */
  readonly what: number;
}

const deed: fc.Arbitrary<Deed> = fc.record({
  deed: fc.oneof(
    ...Object.entries(deeds).map(([name, weight]) => ({ weight, arbitrary: fc.constant(name as keyof typeof deeds) })),
  ),
  who: fc.nat({ max: 50 }),
  what: fc.nat({ max: 1_000 }),
});

const geometry: fc.Arbitrary<RoomOptions> = fc.record({
  samples: fc.integer({ min: 1, max: 60 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
  epochs: fc.integer({ min: 1, max: 8 }),
  startWorkers: fc.integer({ min: 0, max: 3 }),
});

const rates = [0, 1e-300, 1e-3, 0.1, 1, 50, 1e300, Number.POSITIVE_INFINITY, Number.NaN];
const times = [0, 1e-300, 0.5, 3, 200, 1e9, Number.MAX_VALUE];

/** Does what the deed says, as far as there is anybody to do it. */
function perform(room: Room, { deed, who, what }: Deed): void {
  const everybody = [...room.state.connections.keys()];
  const connection = everybody[who % Math.max(1, everybody.length)];
  room.nowMs += what % 7;
  if (deed === 'open') {
    room.open();
    return;
  }
  if (deed === 'join') {
    room.join({ samplesPerMs: rates[what % rates.length]! });
    return;
  }
  if (deed === 'tick' || deed === 'wait') {
    room.wait(deed === 'tick' ? what % 300 : what * 6);
    return;
  }
  if (connection === undefined) return;
  const { step } = room.state.current;
  const computeMs = times[what % times.length]!;
  const own = room.tasksOf(connection);
  const task: Task = own[what % Math.max(1, own.length)] ?? anyTask(room, what);
  switch (deed) {
    case 'hello':
      room.hello(connection);
      break;
    case 'return':
      room.hello(connection, { resumeKey: `key-${1 + (what % Math.max(1, connection))}` });
      break;
    case 'prove':
      room.handleMessage(connection, {
        type: 'numericsResult',
        hash: what % 3 === 0 ? 'bbbbbbbb' : 'aaaaaaaa',
        samplesPerMs: rates[what % rates.length]!,
      });
      break;
    case 'answer':
      if (own.length > 0) room.gradient(connection, task, computeMs);
      break;
    case 'answer all':
      room.answerAll(connection, computeMs);
      break;
    case 'answer anything':
      room.gradient(connection, anyTask(room, what), computeMs);
      break;
    case 'answer old':
      room.gradient(connection, { ...task, step: Math.max(0, step - 1 - (what % 2)) }, computeMs);
      break;
    case 'fail':
      room.handleMessage(connection, { type: 'taskError', ...task, code: 'device-lost', message: 'lost' });
      break;
    case 'not finite':
      // Never twice of the same shard: that rightly ends the run.
      if ((room.state.current.shards.get(shardKey(task))?.nonFiniteFrom ?? []).length === 0) {
        room.handleMessage(connection, { type: 'taskError', ...task, code: 'non-finite', message: 'NaN' });
      }
      break;
    case 'pong':
      room.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
      break;
    case 'bye':
      room.handleMessage(connection, { type: 'bye', message: 'microbatches' });
      break;
    case 'close':
      room.send({ type: 'closed', connection });
      break;
    case 'garbage':
      room.send({ type: 'invalid', connection, closeCode: 1002, message: 'frame: broken' });
      break;
    case 'distrust':
      room.send({ type: 'numericsMismatch', connection, message: 'numerics check: wrong' });
      break;
    default:
      deed satisfies never;
  }
}

function anyTask(room: Room, what: number): Task {
  const { step, shards } = room.state.current;
  const all = [...shards.values()];
  const { lo, n } = all[what % Math.max(1, all.length)] ?? { lo: 0, n: room.setup.plan.microbatches };
  return { step, lo, n };
}

/**
 * Ends the run with one good worker, which joins now and stays. Everybody who is there goes on being there and answers
 * every ping, but never computes anything again. Returns whether the run finished.
 */
function finishWithOneGoodWorker(room: Room): boolean {
  if (hasFinished(room)) return true;
  const idlers = [...room.state.connections.keys()];
  const good = room.join({ samplesPerMs: 1 });
  for (let round = 0; round < 40_000; round++) {
    if (hasFinished(room)) return true;
    expect(room.state.phase).toMatch(/waiting|training|paused/);
    for (const connection of [...idlers, good]) {
      if (room.nowMs % 1_000 < 50) room.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
    }
    const [task] = room.tasksOf(good);
    if (task) room.gradient(good, task, 10);
    room.wait(50);
  }
  return false;
}

const hasFinished = (room: Room): boolean => room.state.phase === 'finished';

describe('whatever happens, in whatever order', () => {
  it('every promise of the rules holds after every event', () => {
    let finished = 0;
    let accepted = 0;
    let duplicated = 0;
    fc.assert(
      fc.property(geometry, fc.array(deed, { minLength: 50, maxLength: 250, size: 'max' }), (options, program) => {
        // The room itself checks them: see createWatcher.
        const room = createRoom(options);
        room.join();
        for (const next of program) perform(room, next);
        if (room.state.phase === 'finished') finished += 1;
        accepted += room.log.filter(({ type }) => type === 'acceptGradient').length;
        duplicated += room.state.faults.duplicated;
      }),
      { numRuns: 200 },
    );
    // The property means nothing where nothing happened.

    expect(finished).toBeGreaterThan(50);
    expect(accepted).toBeGreaterThan(500);
    expect(duplicated).toBeGreaterThan(10);
  });

  it('once one good worker stays, the run finishes', () => {
    fc.assert(
      fc.property(geometry, fc.array(deed, { maxLength: 120, size: 'max' }), (options, program) => {
        const room = createRoom(options);
        for (const next of program) perform(room, next);
        expect(finishWithOneGoodWorker(room)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('a run that nobody is left in keeps only what its report needs', () => {
    fc.assert(
      fc.property(geometry, fc.array(deed, { maxLength: 150, size: 'max' }), (options, program) => {
        const room = createRoom({ ...options, epochs: 50 });
        for (const next of program) perform(room, next);
        for (const connection of [...room.state.connections.keys()]) room.send({ type: 'closed', connection });
        room.wait(room.setup.limits.resumeMs + 1);
        expect(room.state.connections.size).toBe(0);
        for (const record of room.state.records.values()) expect(record.shards).toBeGreaterThan(0);
        for (const shard of room.state.current.shards.values()) expect(shard.owners).toEqual([]);
        for (const shard of room.state.next?.shards.values() ?? []) expect(shard.owners).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});

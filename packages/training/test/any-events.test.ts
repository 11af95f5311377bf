import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardKey } from '../src/tree.ts';
import {
  type CoordinatorOptions,
  createCoordinator,
  type ScriptedCoordinator,
  type Task,
} from './scripted-coordinator.ts';

/** How often each thing happens, against the others: mostly work, and of every kind of trouble a little. */
const randomActions = {
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
  readonly randomAction: keyof typeof randomActions;
  /** Which connection, counted round. */
  readonly who: number;
  /** Which shard, how long, how fast. */
  readonly what: number;
}

const randomAction: fc.Arbitrary<Deed> = fc.record({
  randomAction: fc.oneof(
    ...Object.entries(randomActions).map(([name, weight]) => ({
      weight,
      arbitrary: fc.constant(name as keyof typeof randomActions),
    })),
  ),
  who: fc.nat({ max: 50 }),
  what: fc.nat({ max: 1_000 }),
});

const geometry: fc.Arbitrary<CoordinatorOptions> = fc.record({
  samples: fc.integer({ min: 1, max: 60 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
  epochs: fc.integer({ min: 1, max: 8 }),
  startWorkers: fc.integer({ min: 0, max: 3 }),
});

const rates = [0, 1e-300, 1e-3, 0.1, 1, 50, 1e300, Number.POSITIVE_INFINITY, Number.NaN];
const times = [0, 1e-300, 0.5, 3, 200, 1e9, Number.MAX_VALUE];

/** Does what the randomAction says, as far as there is anybody to do it. */
function perform(coordinator: ScriptedCoordinator, { randomAction, who, what }: Deed): void {
  const everybody = [...coordinator.state.connections.keys()];
  const connection = everybody[who % Math.max(1, everybody.length)];
  coordinator.nowMs += what % 7;
  if (randomAction === 'open') {
    coordinator.open();
    return;
  }
  if (randomAction === 'join') {
    coordinator.join({ samplesPerMs: rates[what % rates.length]! });
    return;
  }
  if (randomAction === 'tick' || randomAction === 'wait') {
    coordinator.wait(randomAction === 'tick' ? what % 300 : what * 6);
    return;
  }
  if (connection === undefined) return;
  const { step } = coordinator.state.current;
  const computeMs = times[what % times.length]!;
  const own = coordinator.tasksOf(connection);
  const task: Task = own[what % Math.max(1, own.length)] ?? anyTask(coordinator, what);
  switch (randomAction) {
    case 'hello':
      coordinator.hello(connection);
      break;
    case 'return':
      coordinator.hello(connection, { resumeKey: `key-${1 + (what % Math.max(1, connection))}` });
      break;
    case 'prove':
      coordinator.handleMessage(connection, {
        type: 'numericsResult',
        hash: what % 3 === 0 ? 'bbbbbbbb' : 'aaaaaaaa',
        samplesPerMs: rates[what % rates.length]!,
      });
      break;
    case 'answer':
      if (own.length > 0) coordinator.gradient(connection, task, computeMs);
      break;
    case 'answer all':
      coordinator.answerAll(connection, computeMs);
      break;
    case 'answer anything':
      coordinator.gradient(connection, anyTask(coordinator, what), computeMs);
      break;
    case 'answer old':
      coordinator.gradient(connection, { ...task, step: Math.max(0, step - 1 - (what % 2)) }, computeMs);
      break;
    case 'fail':
      coordinator.handleMessage(connection, { type: 'taskError', ...task, code: 'device-lost', message: 'lost' });
      break;
    case 'not finite':
      // Never twice of the same shard: that rightly ends the run.
      if ((coordinator.state.current.shards.get(shardKey(task))?.nonFiniteFrom ?? []).length === 0) {
        coordinator.handleMessage(connection, { type: 'taskError', ...task, code: 'non-finite', message: 'NaN' });
      }
      break;
    case 'pong':
      coordinator.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
      break;
    case 'bye':
      coordinator.handleMessage(connection, { type: 'bye', message: 'microbatches' });
      break;
    case 'close':
      coordinator.send({ type: 'closed', connection });
      break;
    case 'garbage':
      coordinator.send({ type: 'invalid', connection, closeCode: 1002, message: 'frame: broken' });
      break;
    case 'distrust':
      coordinator.send({ type: 'numericsMismatch', connection, message: 'numerics check: wrong' });
      break;
    default:
      randomAction satisfies never;
  }
}

function anyTask(coordinator: ScriptedCoordinator, what: number): Task {
  const { step, shards } = coordinator.state.current;
  const all = [...shards.values()];
  const { lo, n } = all[what % Math.max(1, all.length)] ?? { lo: 0, n: coordinator.setup.plan.microbatches };
  return { step, lo, n };
}

/**
 * Ends the run with one good worker, which joins now and stays. Everybody who is there goes on being there and answers
 * every ping, but never computes anything again. Returns whether the run finished.
 */
function finishWithOneGoodWorker(coordinator: ScriptedCoordinator): boolean {
  if (hasFinished(coordinator)) return true;
  const idlers = [...coordinator.state.connections.keys()];
  const good = coordinator.join({ samplesPerMs: 1 });
  for (let round = 0; round < 40_000; round++) {
    if (hasFinished(coordinator)) return true;
    expect(coordinator.state.phase).toMatch(/waiting|training|paused/);
    for (const connection of [...idlers, good]) {
      if (coordinator.nowMs % 1_000 < 50) coordinator.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
    }
    const [task] = coordinator.tasksOf(good);
    if (task) coordinator.gradient(good, task, 10);
    coordinator.wait(50);
  }
  return false;
}

const hasFinished = (coordinator: ScriptedCoordinator): boolean => coordinator.state.phase === 'finished';

describe('whatever happens, in whatever order', () => {
  it('every promise of the rules holds after every event', () => {
    let finished = 0;
    let accepted = 0;
    let duplicated = 0;
    fc.assert(
      fc.property(
        geometry,
        fc.array(randomAction, { minLength: 50, maxLength: 250, size: 'max' }),
        (options, program) => {
          // The coordinator itself checks them: see createWatcher.
          const coordinator = createCoordinator(options);
          coordinator.join();
          for (const next of program) perform(coordinator, next);
          if (coordinator.state.phase === 'finished') finished += 1;
          accepted += coordinator.accepted.length;
          duplicated += coordinator.state.faults.duplicated;
        },
      ),
      { numRuns: 200 },
    );
    // The property means nothing where nothing happened.

    expect(finished).toBeGreaterThan(50);
    expect(accepted).toBeGreaterThan(500);
    expect(duplicated).toBeGreaterThan(10);
  });

  it('once one good worker stays, the run finishes', () => {
    fc.assert(
      fc.property(geometry, fc.array(randomAction, { maxLength: 120, size: 'max' }), (options, program) => {
        const coordinator = createCoordinator(options);
        for (const next of program) perform(coordinator, next);
        expect(finishWithOneGoodWorker(coordinator)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('a run that nobody is left in keeps only what its report needs', () => {
    fc.assert(
      fc.property(geometry, fc.array(randomAction, { maxLength: 150, size: 'max' }), (options, program) => {
        const coordinator = createCoordinator({ ...options, epochs: 50 });
        for (const next of program) perform(coordinator, next);
        for (const connection of [...coordinator.state.connections.keys()])
          coordinator.send({ type: 'closed', connection });
        coordinator.wait(coordinator.setup.limits.resumeMs + 1);
        expect(coordinator.state.connections.size).toBe(0);
        for (const record of coordinator.state.records.values()) expect(record.shards).toBeGreaterThan(0);
        for (const shard of coordinator.state.current.shards.values()) expect(shard.owners).toEqual([]);
        for (const shard of coordinator.state.next?.shards.values() ?? []) expect(shard.owners).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});

/** Random programs of events for the rules: mostly work, with a few faults of every kind. */
import fc from 'fast-check';
import type { ConnectionId } from '../src/state.ts';
import { shardKey } from '../src/tree.ts';
import type { CoordinatorOptions, ScriptedCoordinator, Task } from './scripted-coordinator.ts';

/** Random input of an action; `value` chooses a shard, a duration or a speed. */
interface Draw {
  readonly connection: ConnectionId;
  readonly value: number;
}

interface Action {
  /** Relative frequency of the action. */
  readonly weight: number;
  /** Whether the action is possible without a connection. */
  readonly always?: boolean;
  readonly perform: (coordinator: ScriptedCoordinator, draw: Draw) => void;
}

interface Step {
  readonly action: Action;
  /** Chooses the connection. */
  readonly which: number;
  readonly value: number;
}

export const geometry: fc.Arbitrary<CoordinatorOptions> = fc.record({
  samples: fc.integer({ min: 1, max: 60 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
  epochs: fc.integer({ min: 1, max: 8 }),
  startWorkers: fc.integer({ min: 0, max: 3 }),
  verifyRate: fc.constantFrom(0, 0.3, 1),
  keptStates: fc.integer({ min: 0, max: 3 }),
  participation: fc.constantFrom('fastest' as const, 'rotation' as const),
});

/** Rates and times that workers report, including numbers that no clock gives. */
const rates = [0, 1e-300, 1e-3, 0.1, 1, 50, 1e300, Number.POSITIVE_INFINITY, Number.NaN];
const times = [0, 1e-300, 0.5, 3, 200, 1e9, Number.MAX_VALUE];

function pick<Item>(items: readonly Item[], value: number): Item | undefined {
  return items[value % Math.max(1, items.length)];
}

const rateOf = (value: number): number => pick(rates, value)!;
const timeOf = (value: number): number => pick(times, value)!;

/** Picks any shard of the current step, whichever worker owes it. */
function anyTask({ state, setup }: ScriptedCoordinator, value: number): Task {
  const { step, shards } = state.current;
  const { lo, n } = pick([...shards.values()], value) ?? { lo: 0, n: setup.plan.microbatches };
  return { step, lo, n };
}

/** Picks a shard that the connection owes, or any shard if it owes none. */
function taskOf(coordinator: ScriptedCoordinator, { connection, value }: Draw): Task {
  return pick(coordinator.tasksOf(connection), value) ?? anyTask(coordinator, value);
}

export const workActions: readonly Action[] = [
  { weight: 1, always: true, perform: (coordinator) => coordinator.open() },
  { weight: 4, always: true, perform: (coordinator, { value }) => coordinator.join({ samplesPerMs: rateOf(value) }) },
  { weight: 12, always: true, perform: (coordinator, { value }) => coordinator.wait(value % 300) },
  { weight: 3, always: true, perform: (coordinator, { value }) => coordinator.wait(value * 6) },
  { weight: 1, perform: (coordinator, { connection }) => coordinator.hello(connection) },
  { weight: 2, perform: returnWithKey },
  { weight: 2, perform: sendNumericsResult },
  { weight: 20, perform: answerOwnTask },
  { weight: 30, perform: (coordinator, { connection, value }) => coordinator.answerAll(connection, timeOf(value)) },
  { weight: 2, perform: answerAnyTask },
  { weight: 2, perform: answerPastTask },
  { weight: 1, perform: loseDevice },
  { weight: 1, perform: reportNonFinite },
  { weight: 6, perform: (coordinator, { connection }) => coordinator.pong(connection) },
  { weight: 6, perform: (coordinator, { connection }) => coordinator.wentBack(connection) },
  {
    weight: 1,
    perform: (coordinator, { connection }) => coordinator.receive(connection, { type: 'bye', message: '' }),
  },
  { weight: 2, perform: (coordinator, { connection }) => coordinator.close(connection) },
  { weight: 1, perform: sendInvalidFrame },
  { weight: 1, perform: computeWrongly },
  { weight: 1, perform: (coordinator, { connection }) => coordinator.liars.add(connection) },
];

/** A person's controls and injected faults, among joins, answers and disconnects. */
export const controlActions: readonly Action[] = [
  { weight: 1, always: true, perform: (coordinator) => coordinator.join() },
  { weight: 1, always: true, perform: (coordinator) => coordinator.control('pause') },
  { weight: 1, always: true, perform: (coordinator) => coordinator.control('resume') },
  { weight: 1, always: true, perform: (coordinator) => coordinator.control('start') },
  { weight: 1, always: true, perform: (coordinator, { value }) => coordinator.wait(value % 400) },
  { weight: 1, perform: (coordinator, { connection }) => coordinator.close(connection) },
  { weight: 1, perform: sendStatus },
  { weight: 1, perform: injectFreeze },
  { weight: 2, perform: (coordinator, { connection }) => coordinator.answerAll(connection) },
];

function returnWithKey(coordinator: ScriptedCoordinator, { connection, value }: Draw): void {
  coordinator.hello(connection, { resumeKey: `key-${1 + (value % Math.max(1, connection))}` });
}

function sendNumericsResult(coordinator: ScriptedCoordinator, { connection, value }: Draw): void {
  coordinator.numericsResult(connection, value % 3 === 0 ? 'bbbbbbbb' : 'aaaaaaaa', rateOf(value));
}

function answerOwnTask(coordinator: ScriptedCoordinator, { connection, value }: Draw): void {
  const task = pick(coordinator.tasksOf(connection), value);
  if (task) coordinator.gradient(connection, task, timeOf(value));
}

function answerAnyTask(coordinator: ScriptedCoordinator, { connection, value }: Draw): void {
  coordinator.gradient(connection, anyTask(coordinator, value), timeOf(value));
}

function answerPastTask(coordinator: ScriptedCoordinator, draw: Draw): void {
  const task = taskOf(coordinator, draw);
  const step = Math.max(0, task.step - 1 - (draw.value % 2));
  coordinator.gradient(draw.connection, { ...task, step }, timeOf(draw.value));
}

function loseDevice(coordinator: ScriptedCoordinator, draw: Draw): void {
  const task = taskOf(coordinator, draw);
  coordinator.receive(draw.connection, { type: 'taskError', ...task, code: 'device-lost', message: 'lost' });
}

/** Reports a shard as non-finite, at most once for each shard, since a second report rightly fails the run. */
function reportNonFinite(coordinator: ScriptedCoordinator, draw: Draw): void {
  const task = taskOf(coordinator, draw);
  const shard = coordinator.state.current.shards.get(shardKey(task));
  if ((shard?.nonFiniteFrom ?? []).length === 0) coordinator.nonFinite(draw.connection, task);
}

function sendInvalidFrame(coordinator: ScriptedCoordinator, { connection }: Draw): void {
  coordinator.dispatch({ type: 'invalid', connection, closeCode: 1002, message: 'frame: broken' });
}

function computeWrongly(coordinator: ScriptedCoordinator, { connection }: Draw): void {
  coordinator.dispatch({ type: 'numericsMismatch', connection, message: 'numerics check: wrong' });
}

function sendStatus(coordinator: ScriptedCoordinator, { connection, value }: Draw): void {
  coordinator.receive(connection, { type: 'status', hidden: value % 2 === 0 });
}

function injectFreeze(coordinator: ScriptedCoordinator, { value }: Draw): void {
  coordinator.dispatch({ type: 'injectFault', workerId: `w${value % 21}`, action: 'freeze', forMs: value });
}

/** Generates programs of these actions; `lengths` has the bounds of `fc.array`. */
export function programs(
  actions: readonly Action[],
  lengths: { minLength?: number; maxLength: number },
): fc.Arbitrary<readonly Step[]> {
  const action = fc.oneof(...actions.map((each) => ({ weight: each.weight, arbitrary: fc.constant(each) })));
  const step = fc.record({ action, which: fc.nat({ max: 50 }), value: fc.nat({ max: 1_000 }) });
  return fc.array(step, { ...lengths, size: 'max' });
}

/** Performs a program; an action that needs a connection is skipped if there is none. */
export function perform(coordinator: ScriptedCoordinator, program: readonly Step[]): void {
  for (const { action, which, value } of program) {
    coordinator.nowMs += value % 7;
    const connection = pick(coordinator.connections, which);
    if (connection !== undefined || action.always) action.perform(coordinator, { connection: connection ?? 0, value });
  }
}

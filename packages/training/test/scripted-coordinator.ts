/** A coordinator's rules without any shell: events in, effects out, and the promises of the rules checked at each. */
import { type MessageOf, protocolVersion } from '@lockstep/protocol';
import { expect } from 'vitest';
import type { CheckedMessage, CoordinatorEvent, Effect, RunEvent } from '../src/coordinator/events.ts';
import {
  type ConnectionId,
  type CoordinatorState,
  defaultLimits,
  initialState,
  type Limits,
  type RunSetup,
} from '../src/coordinator/state.ts';
import { transition } from '../src/coordinator/transition.ts';
import { planRun } from '../src/plan.ts';
import type { Shard } from '../src/tree.ts';
import { addedBy, createWatcher, deepFreeze } from './invariants.ts';

export interface CoordinatorOptions {
  readonly samples?: number;
  readonly batch?: number;
  readonly microbatchSize?: number;
  readonly epochs?: number;
  readonly steps?: number;
  readonly firstStep?: number;
  readonly startWorkers?: number;
  readonly token?: string;
  readonly waitForStart?: boolean;
  readonly faultInjection?: boolean;
  readonly limits?: Partial<Limits>;
}

export interface Task extends Shard {
  readonly step: number;
}

type WithoutTime<Event> = Event extends CoordinatorEvent ? Omit<Event, 'atMs'> : never;

export interface ScriptedCoordinator {
  readonly state: CoordinatorState;
  readonly setup: RunSetup;
  nowMs: number;
  /** Every effect so far. */
  readonly log: readonly Effect[];
  /** The shard of every gradient that was wanted, so far. */
  readonly accepted: readonly Shard[];
  send(event: WithoutTime<CoordinatorEvent>): readonly Effect[];
  handleMessage(connection: ConnectionId, message: CheckedMessage): readonly Effect[];
  /** Lets time pass and ticks once at its end. */
  wait(ms: number): readonly Effect[];
  open(): ConnectionId;
  hello(connection: ConnectionId, changes?: Partial<MessageOf<'hello'>>): readonly Effect[];
  /** A worker that has greeted and shown its arithmetic. */
  join(options?: { samplesPerMs?: number; hash?: string; resumeKey?: string; name?: string }): ConnectionId;
  gradient(connection: ConnectionId, task: Task, computeMs?: number): readonly Effect[];
  /** Tasks that a connection was sent for the current step and that still want its answer. */
  tasksOf(connection: ConnectionId): Task[];
  /** Answers everything that a connection owes for the current step. */
  answerAll(connection: ConnectionId, computeMs?: number): void;
  workerId(connection: ConnectionId): string;
}

export function createCoordinator(options: CoordinatorOptions = {}): ScriptedCoordinator {
  const { samples = 64, batch = 16, microbatchSize = 2, epochs = 2 } = options;
  const plan = planRun({ samples, batch, microbatchSize, epochs, steps: options.steps });
  const setup: RunSetup = {
    plan,
    model: { layers: [] },
    limits: { ...defaultLimits, ...options.limits },
    token: options.token,
    startWorkers: options.startWorkers ?? 1,
    startWithinMs: 5_000,
    waitForStart: options.waitForStart ?? false,
    faultInjection: options.faultInjection ?? false,
  };
  let state = deepFreeze(initialState(setup, options.firstStep));
  const log: Effect[] = [];
  const accepted: Shard[] = [];
  const watcher = createWatcher(state);
  let connections = 0;

  const coordinator: ScriptedCoordinator = {
    get state() {
      return state;
    },
    setup,
    nowMs: 0,
    log,
    accepted,
    send(body) {
      const event = { ...body, atMs: coordinator.nowMs } as CoordinatorEvent;
      const before = state;
      const next = transition(before, event);
      // The same state and event give the same once more: nothing is kept outside, and nothing frozen was written.
      expect(transition(before, event)).toEqual(next);
      state = deepFreeze(next.state);
      log.push(...next.effects);
      const added = addedBy(before, event);
      if (added) accepted.push(added);
      watcher(before, event, state, next.effects);
      return next.effects;
    },
    handleMessage: (connection, message) => coordinator.send({ type: 'message', connection, message }),
    wait(ms) {
      coordinator.nowMs += ms;
      return coordinator.send({ type: 'tick' });
    },
    open() {
      connections += 1;
      coordinator.send({ type: 'opened', connection: connections, resumeKey: `key-${connections}` });
      return connections;
    },
    hello: (connection, changes = {}) =>
      coordinator.handleMessage(connection, {
        type: 'hello',
        protocol: protocolVersion,
        kind: 'node',
        backend: 'cpu',
        numericMode: 'test',
        name: `worker ${connection}`,
        threads: 1,
        ...changes,
      }),
    join({ samplesPerMs = 1, hash = 'aaaaaaaa', resumeKey, name } = {}) {
      const connection = coordinator.open();
      coordinator.hello(connection, {
        ...(resumeKey === undefined ? {} : { resumeKey }),
        ...(name === undefined ? {} : { name }),
      });
      coordinator.handleMessage(connection, { type: 'numericsResult', hash, samplesPerMs });
      return connection;
    },
    gradient: (connection, { step, lo, n }, computeMs = 1) =>
      coordinator.handleMessage(connection, { type: 'gradient', step, lo, n, computeMs }),
    tasksOf: (connection) =>
      [...state.current.shards.values()]
        .filter(({ owners }) => owners.some((owner) => owner.connection === connection))
        .map(({ lo, n }) => ({ step: state.current.step, lo, n })),
    answerAll(connection, computeMs = 1) {
      for (const task of coordinator.tasksOf(connection)) coordinator.gradient(connection, task, computeMs);
    },
    workerId: (connection) => state.connections.get(connection)?.workerId ?? '',
  };
  return coordinator;
}

export function eventsOf(effects: readonly Effect[]): RunEvent[] {
  return effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []));
}

export function sentTo(connection: ConnectionId, effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (!('connection' in effect) || effect.connection !== connection) return [];
    return effect.type === 'send' ? [effect.message.type] : [effect.type];
  });
}

/** Answers for everybody until the run ends or can go no further. */
export function playOut(coordinator: ScriptedCoordinator): void {
  for (let round = 0; round < 1_000 && coordinator.state.phase === 'training'; round++) {
    coordinator.nowMs += 10;
    for (const connection of coordinator.state.connections.keys()) coordinator.answerAll(connection);
  }
}

/** Goes on to the first step that is shared among all who are there now; nobody has answered in it yet. */
export function shareAnew(coordinator: ScriptedCoordinator): void {
  const target = coordinator.state.current.step + 2;
  while (coordinator.state.current.step < target && coordinator.state.phase === 'training') {
    coordinator.nowMs += 10;
    for (const connection of coordinator.state.connections.keys()) {
      if (coordinator.state.current.step < target) coordinator.answerAll(connection, 2);
    }
  }
}

export function nonFinite(
  coordinator: ScriptedCoordinator,
  connection: number,
  task: { step: number; lo: number; n: number },
  message = 'NaN',
) {
  return coordinator.handleMessage(connection, { type: 'taskError', ...task, code: 'non-finite', message });
}

export function numericsResult(coordinator: ScriptedCoordinator, connection: number) {
  return coordinator.handleMessage(connection, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
}

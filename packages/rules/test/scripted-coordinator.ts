/** The rules of a run by themselves: a test sends events and reads commands; invariants are checked at each event. */

import { isDeepStrictEqual } from 'node:util';
import { classField } from '@lockstep/data';
import { type MessageOf, protocolVersion } from '@lockstep/protocol';
import { expect } from 'vitest';
import type { CheckedMessage, Command, CoordinatorEvent, RunEvent, UntimedEvent } from '../src/events.ts';
import { planRun } from '../src/plan.ts';
import { Rules } from '../src/rules.ts';
import type { RunHistory } from '../src/run-account.ts';
import { defaultLimits, type Limits, type RunSetup } from '../src/setup.ts';
import type { ConnectionId, CoordinatorState } from '../src/state.ts';
import { type Shard, shardKey } from '../src/tree.ts';
import { Invariants } from './invariants.ts';

type PlanOptions = Pick<
  Parameters<typeof planRun>[0],
  'samples' | 'batch' | 'microbatchSize' | 'epochs' | 'steps' | 'roundsToHalves'
>;

export interface CoordinatorOptions extends Partial<Omit<RunSetup, 'limits'>>, Partial<PlanOptions> {
  readonly firstStep?: number;
  readonly history?: RunHistory;
  readonly limits?: Partial<Limits>;
}

export interface Task extends Shard {
  readonly step: number;
}

/** By default, eight microbatches of two samples a step, four steps an epoch and two epochs. */
function setupOf({ firstStep: _, history: _history, limits, ...options }: CoordinatorOptions): RunSetup {
  const { samples = 64, batch = 16, microbatchSize = 2, epochs = 2, steps, roundsToHalves, ...setup } = options;
  return {
    plan: planRun({ samples, batch, microbatchSize, epochs, steps, roundsToHalves }),
    model: { layers: [] },
    format: { sampleField: { dtype: 'u8', shape: [1], role: 'scaled' }, targetField: classField },
    ...{ startWorkers: 1, startWithinMs: 5_000, verifyRate: 0 },
    ...setup,
    limits: { ...defaultLimits, ...limits },
  };
}

export class ScriptedCoordinator {
  /** Whether the coordinator's own sums are finite. */
  refereeFindsFinite = true;
  /** Whether added sums count as compared if a late result differs from them. */
  isAddedChecked = true;
  /** Connections whose results are wrong, each in a different way. */
  readonly liars = new Set<ConnectionId>();
  readonly setup: RunSetup;
  nowMs = 0;
  /** All commands so far. */
  readonly effects: Command[] = [];
  /** Shards of all gradients added so far. */
  readonly added: Shard[] = [];
  readonly #rules: Rules;
  /** Rules that get the same events and must do the same, since rules keep no state outside. */
  readonly #twin: Rules;
  readonly #invariants: Invariants;
  #opened = 0;
  #events = 0;
  /** Shards whose sum is kept for late results. */
  readonly #kept = new Set<string>();

  constructor(options: CoordinatorOptions = {}) {
    this.setup = setupOf(options);
    this.#rules = new Rules(this.setup, options.firstStep, options.history);
    this.#twin = new Rules(this.setup, options.firstStep, options.history);
    this.#invariants = new Invariants(this.state);
  }

  get state(): CoordinatorState {
    return this.#rules.view;
  }

  get connections(): ConnectionId[] {
    return [...this.state.connections.keys()];
  }

  dispatch(untimed: UntimedEvent): readonly Command[] {
    const event = { ...untimed, atMs: this.nowMs } as CoordinatorEvent;
    this.#invariants.expect(this.state, event);
    const commands = this.#rules.handle(event);
    expectSame(this.#twin.handle(event), commands);
    // Comparing whole views takes far longer than handling an event.
    if (this.#events++ % 32 === 0) expectSame(this.#twin.view, this.state);
    this.effects.push(...commands);
    for (const command of commands) {
      if (command.type !== 'add') continue;
      const { step, lo, n, keep } = command;
      if (isGradient(event)) this.added.push({ lo, n });
      if (keep) this.#kept.add(keyOf(step, command));
    }
    this.#invariants.check(event, this.state, commands);
    return [...commands, ...commands.flatMap((command) => (command.type === 'referee' ? this.#referee(command) : []))];
  }

  /** Answers with the coordinator's own sum at once; it agrees with every honest held result. */
  #referee({ step, lo, n }: Extract<Command, { type: 'referee' }>): readonly Command[] {
    const agreesWith = this.#honestVoters({ lo, n });
    return this.dispatch({ type: 'refereed', step, lo, n, isFinite: this.refereeFindsFinite, agreesWith });
  }

  #honestVoters(shard: Shard): ConnectionId[] {
    const { held = [] } = this.state.current.shards.get(shardKey(shard)) ?? {};
    return held.map(({ connection }) => connection).filter((connection) => !this.liars.has(connection));
  }

  receive(connection: ConnectionId, message: CheckedMessage): readonly Command[] {
    return this.dispatch({ type: 'message', connection, message });
  }

  control(action: 'start' | 'pause' | 'resume'): readonly Command[] {
    return this.dispatch({ type: 'control', action });
  }

  stop(message: string): readonly Command[] {
    return this.dispatch({ type: 'stop', message });
  }

  /** Lets time pass, with one tick at the end. */
  wait(ms: number): readonly Command[] {
    this.nowMs += ms;
    return this.dispatch({ type: 'tick' });
  }

  open(address = '', isOwn = false): ConnectionId {
    const connection = ++this.#opened;
    this.dispatch({ type: 'opened', connection, resumeKey: `key-${connection}`, address, isOwn });
    return connection;
  }

  close(connection: ConnectionId): readonly Command[] {
    return this.dispatch({ type: 'closed', connection });
  }

  hello(connection: ConnectionId, changes: Partial<MessageOf<'hello'>> = {}): readonly Command[] {
    return this.receive(connection, {
      type: 'hello',
      protocol: protocolVersion,
      kind: 'node',
      backend: 'cpu',
      numericMode: 'test',
      name: `worker ${connection}`,
      threads: 1,
      ...changes,
    });
  }

  numericsResult(connection: ConnectionId, hash = 'aaaaaaaa', samplesPerMs = 1): readonly Command[] {
    return this.receive(connection, { type: 'numericsResult', hash, samplesPerMs });
  }

  /**
   * Joins a worker, which passes the handshake and the numerics check. It is proven from the beginning unless it is a
   * newcomer. The results of the coordinator's own worker decide.
   */
  join(
    options: Partial<MessageOf<'hello'>> & {
      samplesPerMs?: number;
      hash?: string;
      isNewcomer?: boolean;
      isOwn?: boolean;
      address?: string;
    } = {},
  ): ConnectionId {
    const { samplesPerMs, hash, isNewcomer = false, isOwn = false, address, ...identity } = options;
    const connection = this.open(address, isOwn);
    if (!isNewcomer && !isOwn) this.#prove(connection);
    this.hello(connection, identity);
    this.numericsResult(connection, hash, samplesPerMs);
    return connection;
  }

  #prove(connection: ConnectionId): void {
    for (const { view } of [this.#rules, this.#twin]) {
      const worker = view.connections.get(connection);
      if (worker) Object.assign(worker, { isProven: true });
    }
  }

  pong(...connections: ConnectionId[]): void {
    for (const connection of connections) this.receive(connection, { type: 'pong', sentAtMs: 0 });
  }

  /** Answers that the run goes back, as often as was asked. */
  wentBack(...connections: ConnectionId[]): void {
    for (const connection of connections) {
      while (this.state.connections.get(connection)?.recalled) this.receive(connection, { type: 'wentBack' });
    }
  }

  /** Sends a result; an honest result agrees with every honest held result of its shard. */
  gradient(connection: ConnectionId, { step, lo, n }: Task, computeMs = 1): readonly Command[] {
    const isHonest = !this.liars.has(connection);
    const agreesWith = isHonest ? this.#honestVoters({ lo, n }) : [];
    const isKept = this.#kept.has(keyOf(step, { lo, n }));
    const comparison = isKept && { comparison: { isSame: isHonest, isChecked: this.isAddedChecked } };
    return this.receive(connection, { type: 'gradient', step, lo, n, computeMs, agreesWith, ...comparison });
  }

  nonFinite(connection: ConnectionId, task: Task, message = 'NaN'): readonly Command[] {
    return this.receive(connection, { type: 'taskError', ...task, code: 'non-finite', message });
  }

  /** Returns the shards of the current step that a connection owes. */
  tasksOf(connection: ConnectionId): Task[] {
    const { step, shards } = this.state.current;
    return [...shards.values()]
      .filter(({ assignments }) => assignments.some((assignment) => assignment.connection === connection))
      .map(({ lo, n }) => ({ step, lo, n }));
  }

  /** Answers every task that a connection owes for the current step. */
  answerAll(connection: ConnectionId, computeMs = 1): void {
    for (const task of this.tasksOf(connection)) this.gradient(connection, task, computeMs);
  }

  /** Answers a trial whose shard is done already. */
  #answerLateTrial(connection: ConnectionId): void {
    const { connections, current } = this.state;
    const trial = connections.get(connection)?.trial;
    if (trial && trial.step <= current.step) this.gradient(connection, trial, 2);
  }

  /** Answers for all connections until the run takes no more steps. */
  completeRun(): void {
    this.completeSteps(this.setup.plan.steps);
  }

  /** Answers for all connections until the run has finished. */
  finish(): void {
    this.completeRun();
    expect(this.state.phase).toBe('finished');
  }

  /** Answers for all connections until this many steps are taken; the next step has no answers yet. */
  completeSteps(steps: number): void {
    const end = this.state.current.step + steps;
    for (let round = 0; round < 1_000 && this.state.phase === 'training'; round++) {
      this.nowMs += 10;
      for (const connection of this.connections) {
        if (this.state.current.step >= end) return;
        this.wentBack(connection);
        this.answerAll(connection, 2);
        this.#answerLateTrial(connection);
      }
    }
  }

  /** Completes all steps that are planned already, so that the next step is shared among all current workers. */
  completePlannedSteps(): void {
    // One step more than those planned when a worker joins, because a newcomer is on trial first.
    this.completeSteps(4);
  }

  workerId(connection: ConnectionId): string {
    return this.state.connections.get(connection)?.workerId ?? '';
  }
}

/** Like `toEqual`, which takes far longer where nothing differs. */
function expectSame(got: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(got, expected)) expect(got).toEqual(expected);
}

const isGradient = (event: CoordinatorEvent): boolean => event.type === 'message' && event.message.type === 'gradient';

const keyOf = (step: number, shard: Shard): string => `${step} ${shardKey(shard)}`;

export function eventsOf(effects: readonly Command[]): RunEvent[] {
  return effects.flatMap((effect) => (effect.type === 'event' ? [effect.event] : []));
}

/** Returns the types of the commands for a connection, or of the messages sent to it. */
export function sentTo(connection: ConnectionId, effects: readonly Command[]): string[] {
  return effects.flatMap((effect) => {
    if (!('connection' in effect) || effect.connection !== connection) return [];
    return effect.type === 'send' ? [effect.message.type] : [effect.type];
  });
}

/** A run that up to three workers have joined. */
export function started(workers: 1 | 2 | 3, options?: CoordinatorOptions) {
  const coordinator = new ScriptedCoordinator(options);
  const [first = 0, second = 0, third = 0] = Array.from({ length: workers }, () => coordinator.join());
  return { coordinator, first, second, third };
}

/** A run whose workers share the current step; none has answered. */
export function sharing(workers: 2 | 3 = 2, options?: CoordinatorOptions) {
  const run = started(workers, options);
  run.coordinator.completePlannedSteps();
  return { ...run, task: run.coordinator.tasksOf(run.first)[0]! };
}

/** Expects that the commands add a shard's sum. @param from the connection, or 0 for the coordinator itself */
export function expectAdded(effects: readonly Command[], { step, lo, n }: Task, from: ConnectionId): void {
  expect(effects).toContainEqual(expect.objectContaining({ type: 'add', step, lo, n, from }));
}

export const typesOf = (commands: readonly { readonly type: string }[]): string[] => commands.map(({ type }) => type);

/** The state of a run while it runs, and the few functions that change it or queue a command. */
import type { Command, RunEvent } from './events.ts';
import type { RunSetup } from './setup.ts';
import {
  type AddressRecord,
  type Assignment,
  type Connection,
  type ConnectionId,
  type CoordinatorState,
  type Faults,
  initialState,
  type ShardState,
  type WorkerRecord,
} from './state.ts';
import { type Shard, shardKey } from './tree.ts';

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

export interface StepRun {
  readonly step: number;
  readonly asked?: Shard | undefined;
  readonly shards: Shards;
}

/** A cut of `microbatches` into the shares of workers, with the time that each took when the cut was made. */
export interface Cut {
  readonly microbatches: number;
  readonly parts: readonly { readonly connection: ConnectionId; readonly share: number; readonly shareMs: number }[];
}

export interface RunState extends Mutable<CoordinatorState> {
  readonly connections: Map<ConnectionId, Connection>;
  readonly records: Map<string, WorkerRecord>;
  readonly addresses: Map<string, AddressRecord>;
  readonly faults: Mutable<Faults>;
  current: StepRun;
  next: StepRun | undefined;
  /** The newest cut of a step into shares. */
  cut: Cut | undefined;
  /** Claims about the weights before the current step. */
  stepStart: Pick<CoordinatorState, 'checked' | 'contributed'>;
  /** Time of the event that is being handled. */
  nowMs: number;
  /** Commands so far in answer to the event. */
  commands: Command[];
}

/** @param before state from a checkpoint: the steps before the first one here */
export function createRunState(setup: RunSetup, step?: number, before?: Partial<CoordinatorState>): RunState {
  if (setup.plan.halfUnit !== undefined && setup.refereeHash === undefined) {
    throw new Error('run: expected refereeHash, which all workers must match if nodes are rounded to fp16, got none');
  }
  const state = { ...initialState(setup, step), ...before };
  const { checked, contributed, current } = state;
  return {
    ...state,
    kept: [{ step: current.step, checked, contributed }],
    stepStart: { checked, contributed },
    connections: new Map(state.connections),
    records: new Map([...state.records].map(([id, record]) => [id, { ...record }])),
    addresses: new Map(state.addresses),
    faults: { ...state.faults },
    current: { step: current.step, shards: new Shards() },
    next: undefined,
    cut: undefined,
    nowMs: 0,
    commands: [],
  };
}

const noShards: readonly ShardState[] = [];

/** The shards of a step, indexed by the connections that owe them. */
export class Shards implements Iterable<[string, ShardState]> {
  readonly #shards = new Map<string, ShardState>();
  /** Number of samples that each connection owes. */
  readonly #owed = new Map<ConnectionId, number>();
  /** Shards that each connection owes, in the order of `values`; undefined after a change. */
  #owned: Map<ConnectionId, ShardState[]> | undefined;

  get size(): number {
    return this.#shards.size;
  }

  get(key: string): ShardState | undefined {
    return this.#shards.get(key);
  }

  values(): MapIterator<ShardState> {
    return this.#shards.values();
  }

  [Symbol.iterator](): MapIterator<[string, ShardState]> {
    return this.#shards[Symbol.iterator]();
  }

  owedSamples(connection: ConnectionId): number {
    return this.#owed.get(connection) ?? 0;
  }

  ownedBy(connection: ConnectionId): readonly ShardState[] {
    // Most workers owe one shard a step, and nothing once its result is in, which needs no list.
    if (this.owedSamples(connection) === 0) return noShards;
    this.#owned ??= this.#listAll();
    return this.#owned.get(connection) ?? noShards;
  }

  add(shard: ShardState): void {
    this.#shards.set(shardKey(shard), shard);
    this.#count(shard, 1);
  }

  remove(shard: ShardState): void {
    this.#count(shard, -1);
    this.#shards.delete(shardKey(shard));
  }

  /** Changes a shard in place. */
  update(key: string, changes: Partial<ShardState>): void {
    const shard = this.#shards.get(key);
    if (!shard) return;
    this.#count(shard, -1);
    Object.assign(shard, changes);
    this.#count(shard, 1);
  }

  #count(shard: ShardState, sign: 1 | -1): void {
    this.#owned = undefined;
    for (const connection of ownersOf(shard)) {
      this.#owed.set(connection, this.owedSamples(connection) + sign * shard.samples);
    }
  }

  #listAll(): Map<ConnectionId, ShardState[]> {
    const owned = new Map<ConnectionId, ShardState[]>();
    for (const shard of this.values()) {
      for (const connection of ownersOf(shard)) {
        const list = owned.get(connection);
        if (list) list.push(shard);
        else owned.set(connection, [shard]);
      }
    }
    return owned;
  }
}

/** Returns the connections that owe a shard, each once. */
function ownersOf({ done, assignments }: ShardState): Iterable<ConnectionId> {
  if (done || assignments.length === 0) return [];
  if (assignments.length === 1) return [assignments[0]!.connection];
  return new Set(assignments.map(({ connection }) => connection));
}

export function updateConnection(run: RunState, connection: ConnectionId, changes: Partial<Connection>): void {
  const worker = run.connections.get(connection);
  if (worker) Object.assign(worker, changes);
}

export function updateRecord(run: RunState, workerId: string, changes: Partial<WorkerRecord>): void {
  const record = run.records.get(workerId);
  if (record) Object.assign(record, changes);
}

export function updateShard(step: StepRun, shard: Shard, changes: Partial<ShardState>): void {
  step.shards.update(shardKey(shard), changes);
}

/** Restarts the clock of an assignment that had to wait for something else. */
export function restartClock({ nowMs }: RunState, assignment: Assignment): void {
  Object.assign(assignment, { startedAtMs: nowMs });
}

export function countFault(run: RunState, fault: keyof Faults, by = 1): void {
  run.faults[fault] += by;
}

export function emit(run: RunState, event: RunEvent): void {
  run.commands.push({ type: 'event', event });
}

export function send(
  run: RunState,
  connection: ConnectionId,
  message: Extract<Command, { type: 'send' }>['message'],
): void {
  run.commands.push({ type: 'send', connection, message });
}

export function hasEnded({ phase }: Pick<CoordinatorState, 'phase'>): boolean {
  return phase === 'finished' || phase === 'failed';
}

/** Returns the connections that may be assigned shards, in the order in which they were opened. */
export function available(run: RunState): Connection[] {
  return [...run.connections.values()].filter(
    ({ phase, answerByMs, recalled }) => phase === 'ready' && answerByMs === undefined && !recalled,
  );
}

export function isAnyReady(run: RunState): boolean {
  for (const { phase } of run.connections.values()) if (phase === 'ready') return true;
  return false;
}

/** Returns whether a connection owes a shard's result. */
export function owesShard(shard: ShardState, connection: ConnectionId): boolean {
  return !shard.done && shard.assignments.some((assignment) => assignment.connection === connection);
}

/** Returns the number of samples of a step that a connection still owes. */
export function owedSamples(step: StepRun, connection: ConnectionId): number {
  return step.shards.owedSamples(connection);
}

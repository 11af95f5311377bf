/** One transition's working copy of the state: maps are copied once, their entries are replaced and never changed. */
import { type Block, blockKey } from '../tree.ts';
import type { Effect, Notice } from './events.ts';
import type {
  BlockState,
  Connection,
  ConnectionId,
  CoordinatorState,
  Faults,
  Phase,
  RunSetup,
  WorkerRecord,
} from './state.ts';

export interface StepDraft {
  step: number;
  blocks: Map<string, BlockState>;
}

export interface Draft {
  readonly setup: RunSetup;
  readonly nowMs: number;
  phase: Phase;
  held: boolean;
  startAsked: boolean;
  readonly connections: Map<ConnectionId, Connection>;
  readonly records: Map<string, WorkerRecord>;
  joined: number;
  current: StepDraft;
  next: StepDraft | undefined;
  firstOpenedAtMs: number | undefined;
  faults: Faults;
  contributed: ReadonlySet<string>;
  readonly effects: Effect[];
}

export function draftOf(state: CoordinatorState, nowMs: number): Draft {
  return {
    ...state,
    nowMs,
    connections: new Map(state.connections),
    records: new Map(state.records),
    current: { step: state.current.step, blocks: new Map(state.current.blocks) },
    next: state.next && { step: state.next.step, blocks: new Map(state.next.blocks) },
    firstOpenedAtMs: state.firstOpenedAtMs,
    effects: [],
  };
}

export function stateOf(draft: Draft): CoordinatorState {
  const { nowMs: _now, effects: _effects, ...state } = draft;
  return state;
}

export function updateConnection(draft: Draft, connection: ConnectionId, changes: Partial<Connection>): void {
  const before = draft.connections.get(connection);
  if (before) draft.connections.set(connection, { ...before, ...changes });
}

export function updateRecord(draft: Draft, workerId: string, changes: Partial<WorkerRecord>): void {
  const before = draft.records.get(workerId);
  if (before) draft.records.set(workerId, { ...before, ...changes });
}

export function updateBlock(step: StepDraft, block: Block, changes: Partial<BlockState>): void {
  const key = blockKey(block);
  const before = step.blocks.get(key);
  if (before) step.blocks.set(key, { ...before, ...changes });
}

export function count(draft: Draft, fault: keyof Faults): void {
  draft.faults = { ...draft.faults, [fault]: draft.faults[fault] + 1 };
}

export function notice(draft: Draft, value: Notice): void {
  draft.effects.push({ type: 'notice', notice: value });
}

/** Connections that may be given blocks, in the order of their joining. */
export function available(draft: Draft): Connection[] {
  return [...draft.connections.values()].filter(
    (connection) => connection.phase === 'ready' && connection.answerByMs === undefined,
  );
}

/** Samples of a step that a connection still owes. */
export function owedSamples(step: StepDraft, connection: ConnectionId): number {
  let samples = 0;
  for (const block of step.blocks.values()) {
    if (!block.done && block.owners.some((owner) => owner.connection === connection)) samples += block.samples;
  }
  return samples;
}

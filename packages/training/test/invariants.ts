/** The invariants of the rules, checked after every event, on deeply frozen states. */
import { expect } from 'vitest';
import type { CoordinatorEvent, Effect } from '../src/coordinator/events.ts';
import { isWanted } from '../src/coordinator/results.ts';
import type { ConnectionId, CoordinatorState, RunSetup } from '../src/coordinator/state.ts';
import { samplesInShard, usedMicrobatches } from '../src/plan.ts';
import { type Shard, shardKey } from '../src/tree.ts';

type Watcher = (
  before: CoordinatorState,
  event: CoordinatorEvent,
  after: CoordinatorState,
  effects: readonly Effect[],
) => void;

/** The shard whose gradient the run adds before it reports the event, if there is one. */
export function addedBy(state: CoordinatorState, event: CoordinatorEvent): Shard | undefined {
  if (event.type !== 'message' || event.message.type !== 'gradient') return undefined;
  return isWanted(state, event.connection, event.message) ? event.message : undefined;
}

/** What must hold after every event, whatever came before. */
export function createWatcher(start: CoordinatorState): Watcher {
  const { plan } = start.setup;
  let nextStep = start.current.step;
  let accepted: Shard[] = [];
  let acceptedShards = 0;
  let ends = 0;
  const weightsOf = new Map<ConnectionId, number>();
  const tasksOf = new Map<ConnectionId, Set<string>>();

  return (before, event, after, effects) => {
    const alive = new Set(before.connections.keys());
    if (event.type === 'opened') alive.add(event.connection);
    const result = addedBy(before, event);
    if (result) {
      accepted.push(result);
      acceptedShards += 1;
    }
    for (const effect of effects) {
      // No effect names a connection that is gone, or that an effect before it closed.
      if ('connection' in effect) expect(alive).toContain(effect.connection);
      switch (effect.type) {
        case 'close':
          alive.delete(effect.connection);
          break;
        case 'sendNumericsCheck':
          weightsOf.set(effect.connection, -1);
          tasksOf.set(effect.connection, new Set());
          break;
        case 'sendWeights':
          // Once for each worker and step, of the current step, and only to a worker that has not had them.
          expect(effect.step).toBe(nextStep);
          expect(effect.step).toBeGreaterThan(weightsOf.get(effect.connection)!);
          weightsOf.set(effect.connection, effect.step);
          break;
        case 'sendTask':
          expect([nextStep, nextStep + 1]).toContain(effect.step);
          expect(['ready', undefined]).toContain(after.connections.get(effect.connection)?.phase);
          tasksOf.get(effect.connection)!.add(`${effect.step} ${shardKey(effect)}`);
          break;
        case 'applyStep':
          // Each step once, in order, and from shards that hold each of its samples exactly once.
          expect(effect.step).toBe(nextStep);
          expectTiling(plan, effect.step, accepted);
          accepted = [];
          nextStep += 1;
          break;
        case 'finished':
          expect(nextStep).toBe(plan.steps);
          ends += 1;
          break;
        case 'failed':
          ends += 1;
          break;
        case 'send':
        case 'event':
          break;
        default:
          effect satisfies never;
      }
    }
    expect(ends).toBe(after.phase === 'finished' || after.phase === 'failed' ? 1 : 0);
    if (ends > 0) {
      expect(after.connections.size).toBe(0);
      return;
    }

    expect(after.current.step).toBe(nextStep);
    for (const { current, next } of after.phase === 'waiting' ? [] : [after]) {
      expectTiling(plan, current.step, [...current.shards.values()]);
      if (next) {
        expect(next.step).toBe(current.step + 1);
        expectTiling(plan, next.step, [...next.shards.values()]);
      }
      const done = [...current.shards.values()].filter((shard) => shard.done);
      expect(done.map(shardKey).sort()).toEqual(accepted.map(shardKey).sort());
      for (const step of next ? [current, next] : [current]) {
        for (const shard of step.shards.values()) {
          if (shard.done) expect(shard.owners).toEqual([]);
          for (const { connection, startedAtMs } of shard.owners) {
            expect(after.connections.get(connection)?.phase).toBe('ready');
            expect(tasksOf.get(connection)).toContain(`${step.step} ${shardKey(shard)}`);
            expect(startedAtMs).toBeLessThanOrEqual(event.atMs);
            // A worker never owes a shard whose weights it will not get.
            if (step === current) expect(weightsOf.get(connection)).toBe(current.step);
          }
        }
      }
    }

    const isIdle = ({ phase, answerByMs }: { phase: string; answerByMs?: number | undefined }): boolean =>
      phase === 'ready' && answerByMs === undefined;
    if (after.phase === 'training' && [...after.connections.values()].some(isIdle)) {
      for (const shard of after.current.shards.values()) expect(shard.done || shard.owners.length > 0).toBe(true);
    }
    const anybody = [...after.connections.values()].some(({ phase }) => phase === 'ready');
    if (after.phase !== 'waiting') expect(after.phase).toBe(anybody && !after.pauseRequested ? 'training' : 'paused');

    for (const { samplesPerMs } of after.connections.values()) {
      expect(Number.isFinite(samplesPerMs) && samplesPerMs >= 0).toBe(true);
    }
    for (const fault of Object.keys(after.faults) as (keyof typeof after.faults)[]) {
      expect(after.faults[fault]).toBeGreaterThanOrEqual(before.faults[fault]);
    }
    const records = [...after.records.values()];
    expect(records.reduce((sum, record) => sum + record.shards, 0)).toBe(acceptedShards);
    for (const { workerId, phase } of after.connections.values()) {
      if (phase !== 'handshake') expect(after.records.has(workerId ?? '')).toBe(true);
    }
  };
}

function expectTiling(plan: RunSetup['plan'], step: number, shards: readonly Shard[]): void {
  const used = usedMicrobatches(plan, step);
  let next = 0;
  for (const { lo, n } of [...shards].sort((a, b) => a.lo - b.lo)) {
    expect(lo).toBe(next);
    expect(samplesInShard(plan, step, lo, n)).toBeGreaterThan(0);
    next = lo + n;
  }
  expect(next).toBeGreaterThanOrEqual(used);
}

const refuse = (): never => {
  throw new Error('frozen: expected nobody to change a state, got a write');
};

/** Freezes plain data, maps and sets included; writing to any of it throws from then on. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Map || value instanceof Set) {
    Object.assign(value, { set: refuse, add: refuse, delete: refuse, clear: refuse });
  }
  Object.freeze(value);
  const parts = value instanceof Map || value instanceof Set ? value.values() : Object.values(value);
  for (const part of parts) deepFreeze(part);
  return value;
}

/** The invariants of the rules, checked after every event. */

import { expect } from 'vitest';
import { stateFault } from '../../sim/src/invariants.ts';
import type { Command, CoordinatorEvent } from '../src/events.ts';
import { type RunPlan, samplesInShard, usedMicrobatches } from '../src/plan.ts';
import type { ConnectionId, CoordinatorState, Faults } from '../src/state.ts';
import { type Shard, shardKey } from '../src/tree.ts';

export class Invariants {
  readonly #plan: RunPlan;
  readonly #isRelay: boolean;
  readonly #isVerifying: boolean;
  #nextStep: number;
  /** The shard that a relay was asked for last. */
  #asked: Shard | undefined;
  /** Shards added to the sum of the current step. */
  #added: Shard[] = [];
  #addedInAll = 0;
  #ends = 0;
  /** Connections before the event, with a newly opened one, and fault counts before the event. */
  #alive = new Set<ConnectionId>();
  #faults: Partial<Faults> = {};
  /** Confirmed results of each connection before the event. */
  #checkedBefore = new Map<ConnectionId, number>();
  /** Newest step whose weights each connection was sent since its numerics check. */
  readonly #weightsOf = new Map<ConnectionId, number>();
  readonly #tasksOf = new Map<ConnectionId, Set<string>>();

  /** Steps before which the state is kept. */
  readonly #kept: Set<number>;

  constructor({ setup, current, records }: CoordinatorState) {
    for (const { shards } of records.values()) this.#addedInAll += shards;
    this.#kept = new Set([current.step]);
    this.#plan = setup.plan;
    this.#isRelay = setup.isRelay ?? false;
    this.#isVerifying = (setup.verifyRate ?? 0) > 0;
    this.#nextStep = current.step;
  }

  /** Notes the state before an event, to compare the rules' answer with. */
  expect({ connections, faults }: CoordinatorState, event: CoordinatorEvent): void {
    this.#checkedBefore = new Map([...connections.values()].map(({ connection, checked }) => [connection, checked]));
    this.#alive = new Set(connections.keys());
    if (event.type === 'opened') this.#alive.add(event.connection);
    this.#faults = { ...faults };
  }

  check(event: CoordinatorEvent, after: CoordinatorState, effects: readonly Command[]): void {
    if (event.type === 'asked' && this.#ends === 0) this.#beginAsked(event.step);
    if (event.type === 'askedNoMore' || event.type === 'recalled') this.#added = [];
    this.#checkEffects(event, after, effects);
    expect(this.#ends).toBe(after.phase === 'finished' || after.phase === 'failed' ? 1 : 0);
    if (this.#ends > 0) {
      expect(after.connections.size).toBe(0);
      return;
    }
    expect(after.current.step).toBe(this.#nextStep);
    if (after.phase !== 'waiting') this.#checkSteps(after, event.atMs);
    expect(after.kept.map(({ step }) => step)).toEqual([...this.#kept]);
    expect(stateFault(after)).toBeUndefined();
    this.#checkRecords(after);
    expectFaultsOnlyGrow(this.#faults, after.faults);
  }

  #beginAsked(step: number): void {
    this.#nextStep = step;
    this.#added = [];
  }

  #checkEffects(event: CoordinatorEvent, after: CoordinatorState, effects: readonly Command[]): void {
    const alive = this.#alive;
    if (event.type === 'weightsBroken') {
      for (const [connection, step] of this.#weightsOf) {
        if (step === event.step) this.#weightsOf.set(connection, this.#nextStep);
      }
    }
    for (const effect of effects) {
      // No command names a connection that has closed, or that an earlier command closed.
      if ('connection' in effect) expect(alive).toContain(effect.connection);
      if (effect.type === 'close') alive.delete(effect.connection);
      else this.#checkEffect(event, effect, after);
    }
  }

  #checkEffect(event: CoordinatorEvent, effect: Command, after: CoordinatorState): void {
    switch (effect.type) {
      case 'sendNumericsCheck':
        this.#recall(effect.connection);
        return;
      case 'sendWeights':
        // Only the current step's weights are sent, to workers that do not have them.
        expect(effect.step).toBe(this.#nextStep);
        expect(effect.step).toBeGreaterThan(this.#weightsOf.get(effect.connection)!);
        this.#weightsOf.set(effect.connection, effect.step);
        return;
      case 'forwardWeights':
        // Only a later step's weights are forwarded, to workers that have the current step's.
        expect(effect.step).toBeGreaterThan(this.#nextStep);
        for (const connection of effect.connections) {
          expect(this.#weightsOf.get(connection)).toBe(this.#nextStep);
          this.#weightsOf.set(connection, effect.step);
        }
        return;
      case 'sendTask':
        expect([this.#nextStep, this.#nextStep + 1]).toContain(effect.step);
        expect(['ready', undefined]).toContain(after.connections.get(effect.connection)?.phase);
        this.#tasksOf.get(effect.connection)!.add(taskKey(effect.step, effect));
        return;
      case 'add':
        this.#expectTrust(effect);
        this.#added.push(effect);
        if (effect.from !== 0) this.#addedInAll += 1;
        return;
      case 'restartStep':
        this.#added = [];
        this.#asked = effect.asked;
        return;
      case 'referee':
        expect(effect.step).toBe(this.#nextStep);
        return;
      case 'keepState':
        expect(effect.step).toBe(this.#nextStep);
        if (effect.forget !== undefined) expect(this.#kept.delete(effect.forget)).toBe(true);
        this.#kept.add(effect.step);
        return;
      case 'goBack':
        // Only to a state that is kept, with nothing added; later states are forgotten.
        expect(effect.step).toBeLessThanOrEqual(this.#nextStep);
        expect(this.#kept).toContain(effect.step);
        for (const step of this.#kept) if (step > effect.step) this.#kept.delete(step);
        this.#nextStep = effect.step;
        this.#added = [];
        return;
      case 'applyStep':
        // Steps are applied once, in order, from shards that contain each sample of the step exactly once.
        expect(effect.step).toBe(this.#nextStep);
        this.#expectTiling(effect.step, this.#added);
        this.#added = [];
        this.#nextStep += 1;
        return;
      case 'askedDone':
        this.#expectTiling(this.#nextStep, this.#added, this.#asked);
        this.#added = [];
        return;
      case 'askedFailed':
        this.#added = [];
        return;
      case 'finished':
        if (event.type !== 'finish') expect(this.#nextStep).toBe(this.#plan.steps);
        this.#ends += 1;
        return;
      case 'failed':
        this.#ends += 1;
        return;
      case 'send':
        if (effect.message.type === 'goBack') this.#recall(effect.connection);
        return;
      case 'hold':
      case 'event':
      case 'close':
        return;
      default:
        effect satisfies never;
    }
  }

  /** No result is added unchecked before the coordinator has confirmed one of its worker. */
  #expectTrust({ from, isChecked }: Extract<Command, { type: 'add' }>): void {
    if (from === 0 || isChecked || !this.#isVerifying) return;
    expect(this.#checkedBefore.get(from)).toBeGreaterThan(0);
  }

  #recall(connection: ConnectionId): void {
    this.#weightsOf.set(connection, -1);
    this.#tasksOf.set(connection, new Set());
  }

  #checkSteps({ current, next, connections }: CoordinatorState, nowMs: number): void {
    const done = [...current.shards.values()].filter((shard) => shard.done);
    expect(done.map(shardKey).sort()).toEqual(this.#added.map(shardKey).sort());
    if (next) expect(next.step).toBe(current.step + 1);
    for (const step of next ? [current, next] : [current]) {
      // A relay without an asked shard has no shards.
      if (!this.#isRelay || step.shards.size > 0) this.#expectTiling(step.step, [...step.shards.values()], step.asked);
      this.#checkOwners(step, connections, nowMs);
    }
  }

  #checkOwners(
    { step, shards }: CoordinatorState['current'],
    connections: CoordinatorState['connections'],
    nowMs: number,
  ): void {
    for (const shard of shards.values()) {
      if (shard.done) expect(shard.assignments).toEqual([]);
      for (const { connection, why, startedAtMs } of shard.assignments) {
        if (why === 'check') continue;
        expect(connections.get(connection)?.phase).toBe('ready');
        expect(this.#tasksOf.get(connection)).toContain(taskKey(step, shard));
        expect(startedAtMs).toBeLessThanOrEqual(nowMs);
        // A worker owes a shard of the current step only if it was sent the step's weights.
        if (step === this.#nextStep) expect(this.#weightsOf.get(connection)).toBe(step);
      }
    }
  }

  #checkRecords({ connections, records }: CoordinatorState): void {
    const shards = [...records.values()].reduce((sum, record) => sum + record.shards, 0);
    expect(shards).toBe(this.#addedInAll);
    for (const { workerId, phase, samplesPerMs } of connections.values()) {
      expect(Number.isFinite(samplesPerMs) && samplesPerMs >= 0).toBe(true);
      if (phase !== 'handshake') expect(records.has(workerId ?? '')).toBe(true);
    }
  }

  /** Expects non-empty shards that contain every used microbatch of the step, or of its asked shard, exactly once. */
  #expectTiling(step: number, shards: readonly Shard[], asked?: Shard): void {
    let next = asked?.lo ?? 0;
    for (const { lo, n } of [...shards].sort((a, b) => a.lo - b.lo)) {
      expect(lo).toBe(next);
      expect(samplesInShard(this.#plan, step, lo, n)).toBeGreaterThan(0);
      next = lo + n;
    }
    const last = asked ? asked.lo + asked.n : this.#plan.microbatches;
    expect(next).toBeGreaterThanOrEqual(Math.min(last, usedMicrobatches(this.#plan, step)));
    expect(next).toBeLessThanOrEqual(last);
  }
}

const taskKey = (step: number, shard: Shard): string => `${step} ${shardKey(shard)}`;

function expectFaultsOnlyGrow(before: Partial<Faults>, after: Faults): void {
  for (const fault of Object.keys(after) as (keyof typeof after)[]) {
    expect(after[fault]).toBeGreaterThanOrEqual(before[fault] ?? 0);
  }
}

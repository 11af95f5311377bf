/** Invariants of every run: of the state after each event, and of the samples, each counted once. */

import type { ParameterServer, ShardSource } from '@lockstep/compute';
import type { RunOptions } from '@lockstep/coordinator';
import {
  type Connection,
  type ConnectionId,
  type CoordinatorState,
  onTrial,
  type RunPlan,
  type Shard,
  samplesInShard,
  stepBatch,
  type WorkerRecord,
} from '@lockstep/rules';

/** Most results held for a shard: two that differ, and those of workers that were late in the meantime. */
const mostVotes = 8;

/** Describes a violated invariant; undefined if all hold. */
export function stateFault(state: CoordinatorState): string | undefined {
  if (state.phase === 'waiting' || state.phase === 'finished' || state.phase === 'failed') return boundFault(state);
  const fault = phaseFault(state) ?? ownerFault(state) ?? progressFault(state) ?? boundFault(state);
  return fault ?? keptFault(state);
}

/** The run can go back to before the first unchecked result of each connected worker, and keeps few states for that. */
function keptFault({ setup, connections, records, current, kept }: CoordinatorState): string | undefined {
  const steps = kept.map(({ step }) => step);
  if (steps.length > 1 + (setup.keptStates ?? 0)) return `${steps.length} states are kept`;
  if (steps.some((step, index) => step > current.step || step <= (steps[index - 1] ?? -1))) {
    return `states are kept in the order ${steps.join(', ')} at step ${current.step}`;
  }
  for (const { id, uncheckedFrom } of records.values()) {
    const isFuture = uncheckedFrom !== undefined && uncheckedFrom >= current.step && !setup.isRelay;
    if (isFuture) return `results of ${id} count from step ${uncheckedFrom} on, at step ${current.step}`;
  }
  for (const { workerId = '', isOwn } of connections.values()) {
    const { uncheckedFrom } = records.get(workerId) ?? {};
    if (uncheckedFrom === undefined || setup.isRelay) continue;
    if (isOwn) return `results of ${workerId}, which are the coordinator's own, count as unchecked`;
    if (steps[0]! > uncheckedFrom) return `no state is kept from before step ${uncheckedFrom} of ${workerId}`;
  }
  return undefined;
}

function phaseFault({ connections, pauseRequested, phase }: CoordinatorState): string | undefined {
  const canTrain = !pauseRequested && some(connections.values(), (connection) => connection.phase === 'ready');
  const expected = canTrain ? 'training' : 'paused';
  return phase === expected ? undefined : `expected the phase ${expected}, got ${phase}`;
}

/** A share of a worker that is gone, or must pass the numerics check first, belongs to another worker. */
function ownerFault({ connections, current, next }: CoordinatorState): string | undefined {
  for (const { step, shards } of next ? [current, next] : [current]) {
    for (const { lo, n, assignments } of shards.values()) {
      const absent = assignments.find(
        ({ connection, why }) => why !== 'check' && connections.get(connection)?.phase !== 'ready',
      );
      if (absent) return `microbatches ${lo} to ${lo + n - 1} of step ${step + 1} belong to a worker that is not ready`;
    }
  }
  return undefined;
}

/**
 * While a worker that is not late is ready, no complete step remains untaken, and no shard waits that an idle worker
 * could compute: a proven worker, or a newcomer if none of its results is held.
 */
function progressFault(state: CoordinatorState): string | undefined {
  const { setup, phase, connections, current, allowedSteps = Number.POSITIVE_INFINITY } = state;
  if (phase !== 'training') return undefined;
  if (current.step > allowedSteps) return `step ${current.step} is taken, and only ${allowedSteps} are allowed`;
  const { shards } = current;
  // A relay that is not asked for anything waits.
  if (setup.isRelay && shards.size === 0) return undefined;
  const isComplete = !some(shards.values(), ({ done }) => !done);
  if (isComplete && current.step < allowedSteps) return `step ${current.step + 1} is complete and not taken`;
  const isAvailable = (worker: Connection): boolean =>
    worker.phase === 'ready' && worker.answerByMs === undefined && !worker.recalled;
  if (!some(connections.values(), isAvailable)) return undefined;
  const waiting = [...shards.values()].filter(({ done, assignments }) => !done && assignments.length === 0);
  if (waiting.length === 0) return undefined;
  const busy = new Set<ConnectionId>();
  for (const { done, assignments } of shards.values()) {
    if (done) continue;
    for (const { connection } of assignments) busy.add(connection);
  }
  const trying = onTrial({ connections, current });
  if (busy.size === 0 && trying.size === 0) return `nobody computes step ${current.step + 1}`;
  const idle = [...connections.values()].filter((worker) => isAvailable(worker) && !busy.has(worker.connection));
  for (const { lo, n, held } of waiting) {
    const canCompute = (worker: Connection): boolean =>
      worker.isProven
        ? !held.some(({ workerId }) => workerId === worker.workerId)
        : held.length === 0 && !trying.has(worker.connection);
    if (idle.some(canCompute)) return `microbatches ${lo} to ${lo + n - 1} of step ${current.step + 1} have no owner`;
  }
  return undefined;
}

/** Like `Array.some`, but without a copy: a run with a thousand workers is checked after each of its events. */
function some<Item>(items: Iterable<Item>, holds: (item: Item) => boolean): boolean {
  for (const item of items) if (holds(item)) return true;
  return false;
}

function boundFault({ setup, connections, records, current }: CoordinatorState): string | undefined {
  const { maxWorkers } = setup.limits;
  const named = new Set<string | undefined>();
  let members = 0;
  for (const { phase, workerId } of connections.values()) {
    named.add(workerId);
    if (phase !== 'handshake') members += 1;
  }
  if (members > maxWorkers) return `${members} workers are connected`;
  if (current.shards.size > setup.plan.microbatches)
    return `step ${current.step + 1} has ${current.shards.size} shards`;
  for (const { held } of current.shards.values()) {
    if (held.length > mostVotes) return `${held.length} results of one shard are held`;
  }
  let gone = 0;
  for (const { id, leftAtMs } of records.values()) if (leftAtMs === undefined && !named.has(id)) gone += 1;
  return gone > 0 ? `${gone} workers that are gone count as connected` : undefined;
}

/** A sum that was recorded, and is added next. */
interface RecordedSum extends Shard {
  readonly values: Float32Array;
}

/**
 * Counts the samples added to a parameter server's steps, independently of the rules: each sample once per epoch. As a
 * run's transcript, compares the sums that the run records with those that it adds.
 */
export class SampleLedger implements NonNullable<RunOptions['transcript']> {
  readonly #plan: RunPlan;
  readonly #source: ShardSource;
  /** For each sample of the training set, how often this epoch's steps so far have counted it. */
  #counts: Uint8Array;
  /** Counts before the steps to which the run may go back. */
  readonly #kept = new Map<number, Uint8Array>();
  #added: Shard[] = [];
  /** Sums recorded for the current step. */
  #recorded: RecordedSum[] = [];
  /** Describes the first sample that was not counted exactly once. */
  fault: string | undefined;

  /** @param counts from an earlier ledger, if the run continues from a checkpoint */
  constructor(plan: RunPlan, source: ShardSource, counts?: Uint8Array) {
    this.#plan = plan;
    this.#source = source;
    this.#counts = counts?.slice() ?? new Uint8Array(plan.samples);
  }

  #keep(step: number): void {
    this.#kept.set(step, this.#counts.slice());
  }

  /** Intercepts the calls of the server's aggregator, and each step. */
  watch(server: ParameterServer, firstStep: number): void {
    const { aggregator } = server;
    const [begin, add] = [aggregator.begin.bind(aggregator), aggregator.add.bind(aggregator)];
    const step = server.step.bind(server);
    const [keepState, goBack] = [server.keepState.bind(server), server.goBack.bind(server)];
    this.#keep(firstStep);
    aggregator.begin = (...next) => {
      this.#added = [];
      begin(...next);
    };
    aggregator.add = (shard, values) => {
      this.#added.push(shard);
      if ('left' in values) throw new Error('expected a sum in one vector, because it is recorded');
      this.#compare(shard, aggregator.valuesOf(values));
      add(shard, values);
    };
    server.step = (number) => {
      this.#count(number);
      const [expected, got] = [this.#added.length, this.#recorded.length];
      if (got !== expected) this.#report(`step ${number + 1}: expected ${expected} recorded sums, got ${got}`);
      return step(number);
    };
    server.keepState = (number) => {
      this.#keep(number);
      keepState(number);
    };
    server.goBack = (number) => {
      this.#counts = this.#kept.get(number)!.slice();
      goBack(number);
    };
  }

  counts(): Uint8Array {
    return this.#counts.slice();
  }

  add({ lo, n }: Shard, _worker: WorkerRecord | undefined, sum: Float32Array): void {
    this.#recorded.push({ lo, n, values: sum.slice() });
  }

  restart(): void {
    this.#recorded = [];
  }

  stepped(): void {
    this.#recorded = [];
  }

  goBack(): void {
    this.#recorded = [];
  }

  /** Compares the sum that is added with the newest recorded one. */
  #compare({ lo, n }: Shard, values: Float32Array): void {
    const recorded = this.#recorded.at(-1);
    const isSame = recorded?.lo === lo && recorded.n === n && equal(values, recorded.values);
    if (!isSame) this.#report(`the sum of microbatches ${lo} to ${lo + n - 1} is not the one that was recorded`);
  }

  #count(step: number): void {
    const { samples, stepsPerEpoch } = this.#plan;
    const { epoch, count } = stepBatch(this.#plan, step);
    if (step % stepsPerEpoch === 0) this.#counts = new Uint8Array(samples);
    let added = 0;
    for (const { lo, n } of this.#added) {
      added += samplesInShard(this.#plan, step, lo, n);
      for (const sample of this.#source.numbers(step, lo, n)) {
        this.#counts[sample]! += 1;
        if (this.#counts[sample]! > 1) this.#report(`sample ${sample} counts twice in epoch ${epoch + 1}`);
      }
    }
    if (added !== count) this.#report(`step ${step + 1}: expected ${count} samples, got ${added}`);
    if (step % stepsPerEpoch < stepsPerEpoch - 1) return;
    const missing = this.#counts.indexOf(0);
    if (missing >= 0) this.#report(`sample ${missing} does not count in epoch ${epoch + 1}`);
  }

  #report(fault: string): void {
    this.fault ??= fault;
  }
}

/** Watches a run's added results: none counts unchecked before the coordinator has confirmed one of its worker. */
export class TrustLedger {
  #step = '';
  /** Unchecked shards of the current step that were found right. */
  readonly #known = new Set<string>();
  #quarantined = 0;

  /** Describes a result that was added too early; called after each event. */
  faultOf({ setup, connections, current, rewinds, faults }: CoordinatorState): string | undefined {
    if ((setup.verifyRate ?? 0) === 0) return undefined;
    const step = `${rewinds.length} ${current.step}`;
    if (step !== this.#step) this.#known.clear();
    this.#step = step;
    // A quarantine makes its neighbors newcomers again.
    const isReset = faults.quarantined > this.#quarantined;
    this.#quarantined = faults.quarantined;
    for (const [key, { lo, n, done, addedFrom, isDecided }] of current.shards) {
      if (!done || addedFrom === undefined || isDecided || this.#known.has(key)) continue;
      this.#known.add(key);
      const isNew = some(connections.values(), ({ workerId, checked }) => workerId === addedFrom && checked === 0);
      if (isNew && !isReset) return `microbatches ${lo} to ${lo + n - 1} of ${addedFrom} count, and none was checked`;
    }
    return undefined;
  }
}

/** Compares the weights after each step across all lives of a run's coordinators: all must compute the same bytes. */
export class WeightsLedger {
  readonly #weights = new Map<number, Float32Array>();
  #divided: number | undefined;

  /** Describes the first step after which two lives had different weights. */
  get fault(): string | undefined {
    if (this.#divided === undefined) return undefined;
    return `step ${this.#divided + 1} gave other weights than when another life of a coordinator took it`;
  }

  note(step: number, weights: Float32Array): void {
    const before = this.#weights.get(step);
    if (!before) this.#weights.set(step, weights);
    else if (!equal(weights, before)) this.#divided ??= step;
  }

  /** Forgets this step and later ones, because a coordinator takes them again; it begins with these weights. */
  goBack(step: number, weights: Float32Array): void {
    const before = this.#weights.get(step - 1);
    for (const later of this.#weights.keys()) if (later >= step) this.#weights.delete(later);
    if (this.#divided !== undefined && this.#divided >= step) this.#divided = undefined;
    if (before && !equal(weights, before)) this.#divided ??= step - 1;
  }
}

function equal(one: Float32Array, other: Float32Array): boolean {
  return one.every((value, index) => Object.is(value, other[index]));
}

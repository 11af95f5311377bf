/** Assigns shards to workers, each assignment with its reason, and reassigns shards that have lost their worker. */
import { samplesInShard, usedMicrobatches } from './plan.ts';
import {
  available,
  owedSamples,
  type RunState,
  type StepRun,
  send,
  updateConnection,
  updateShard,
} from './run-state.ts';
import type { Assignment, Connection, ConnectionId, CoordinatorState, ShardState } from './state.ts';
import { measureLink, speedAfter } from './track-record.ts';
import { halvesOf, type Shard } from './tree.ts';

/** Returns the state of a shard that is not assigned yet. */
export function newShard(run: Pick<RunState, 'setup' | 'rewinds'>, step: number, { lo, n }: Shard): ShardState {
  return {
    lo,
    n,
    samples: samplesInShard(run.setup.plan, step, lo, n),
    policy: isDrawnForCheck(run, { step, lo }) ? 'referee' : 'first',
    assignments: [],
    held: [],
    nonFiniteFrom: [],
    done: false,
    isChecked: false,
    isDecided: false,
  };
}

/**
 * Returns whether a shard is drawn for a check, at a rate that is by default the run's. Workers cannot tell, since they
 * do not know the salt. A step that is taken again gets other draws: a worker may know which shard was not checked.
 */
export function isDrawnForCheck(
  { setup: { verifyRate = 0, verifySalt = 0 }, rewinds }: Pick<RunState, 'setup' | 'rewinds'>,
  { step, lo }: Pick<Assignment, 'step' | 'lo'>,
  rate = verifyRate,
): boolean {
  return draw(verifySalt + Math.imul(rewinds.length, 0x27d4eb2f), step, lo) < rate;
}

/** Uniform in [0, 1), by MurmurHash3's finalizer (Austin Appleby): each input bit flips half of the output bits. */
function draw(salt: number, step: number, lo: number): number {
  let hash = (salt ^ Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(lo + 1, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** Assigns a shard to a worker and sends it the task. For a worker that is not proven, the shard is a trial. */
export function assign(
  run: RunState,
  step: StepRun,
  shard: ShardState,
  worker: Connection,
  why: 'share' | 'turn' | 'late' = 'share',
): void {
  const { connection, isProven } = worker;
  if (owedSamples(step, connection) === 0) updateConnection(run, connection, { transferCreditMs: 0 });
  const assignment = sendTask(run, step, shard, worker, isProven ? why : 'trial');
  updateShard(step, shard, { assignments: [...shard.assignments, assignment] });
}

/** Times a worker on a microbatch whose result the step does not need. */
export function assignTimedTrial(run: RunState, step: StepRun, worker: Connection, microbatch: number): void {
  const { plan } = run.setup;
  const samples = samplesInShard(plan, step.step, microbatch, 1);
  sendTask(run, step, { lo: microbatch, n: 1, samples }, worker, 'trial');
}

function sendTask(
  run: RunState,
  { step }: StepRun,
  { lo, n, samples }: Pick<ShardState, 'lo' | 'n' | 'samples'>,
  worker: Connection,
  why: Assignment['why'],
): Assignment {
  const { connection } = worker;
  if (step === run.current.step) sendWeightsOnce(run, worker);
  run.commands.push({ type: 'sendTask', connection, step, lo, n });
  const assignment = { connection, step, lo, n, samples, why, startedAtMs: run.nowMs };
  if (why === 'trial') updateConnection(run, connection, { trial: assignment });
  return assignment;
}

/** Sends the current step's weights to a worker unless it has them. */
export function sendWeightsOnce(run: RunState, { connection, weightsStep }: Connection): void {
  const { step } = run.current;
  if (weightsStep >= step) return;
  run.commands.push({ type: 'sendWeights', connection, step });
  updateConnection(run, connection, { weightsStep: step });
}

/** Has the coordinator itself compute a shard of the current step, at most once. */
export function referee(run: RunState, shard: ShardState): void {
  if (shard.done || isRefereed(shard)) return;
  const { lo, n, samples } = shard;
  const { step } = run.current;
  const assignment = { connection: 0, step, lo, n, samples, why: 'check', startedAtMs: run.nowMs } as const;
  updateShard(run.current, shard, { assignments: [...shard.assignments, assignment] });
  run.commands.push({ type: 'referee', step, lo, n });
}

/** Returns whether the coordinator itself computes a shard. */
export function isRefereed({ assignments }: Pick<ShardState, 'assignments'>): boolean {
  return assignments.some(({ why }) => why === 'check');
}

/** Takes every shard of a step from a connection. @returns the number of shards that are now unassigned */
export function unassign(step: StepRun, connection: ConnectionId): number {
  let left = 0;
  for (const shard of step.shards.ownedBy(connection)) {
    const assignments = shard.assignments.filter((assignment) => assignment.connection !== connection);
    updateShard(step, shard, { assignments });
    if (assignments.length === 0) left += 1;
  }
  return left;
}

/**
 * Tells all workers of a shard of the current step, except the winner, that it is no longer wanted. Workers that are
 * late or on trial are not told, because their answer, or its absence, shows whether they are still alive.
 */
export function cancel(run: RunState, { lo, n, assignments }: ShardState, winner?: ConnectionId): void {
  const { step } = run.current;
  for (const { connection } of assignments) {
    const worker = run.connections.get(connection);
    if (!worker || connection === winner || worker.answerByMs !== undefined || isTrial(worker, { step, lo, n }))
      continue;
    send(run, connection, { type: 'cancel', step, lo, n });
  }
}

export function isTrial(
  worker: Pick<Connection, 'trial'> | undefined,
  { step, lo, n }: Shard & { readonly step: number },
): boolean {
  return worker?.trial?.step === step && worker.trial.lo === lo && worker.trial.n === n;
}

/** Returns the trial that a worker must answer. It may have dropped one whose weights newer ones have replaced. */
export function openTrial({ trial, weightsStep }: Pick<Connection, 'trial' | 'weightsStep'>): Assignment | undefined {
  return trial && trial.step >= weightsStep ? trial : undefined;
}

/** Returns whether a worker on trial with a shard, other than the winner, has yet to answer. */
export function isAwaited(
  { connections }: Pick<CoordinatorState, 'connections'>,
  { assignments }: ShardState,
  winner: ConnectionId | undefined,
): boolean {
  return assignments.some(
    (assignment) => assignment.connection !== winner && isTrial(connections.get(assignment.connection), assignment),
  );
}

/**
 * Returns the workers that are computing a trial now, or whose result of the step is held for comparison. A trial of a
 * later step does not count: it waits for its weights and does not keep the worker busy.
 */
export function onTrial({
  connections,
  current,
}: Pick<CoordinatorState, 'connections' | 'current'>): Set<ConnectionId> {
  const busy = new Set<ConnectionId>();
  for (const connection of connections.values()) {
    const trial = openTrial(connection);
    if (trial && trial.step <= current.step) busy.add(connection.connection);
  }
  for (const { done, held } of current.shards.values()) {
    if (!done) for (const { connection } of held) busy.add(connection);
  }
  return busy;
}

/** A worker without a share spends one part in this many of its time on trials … */
const timePerTrial = 4;
/** … but never waits longer than this for the next one. */
const mostTrialPauseMs = 10_000;

/** Returns the pause before the next trial of a worker without a share, after a trial of `totalMs`. */
export function trialPauseMs(totalMs: number): number {
  return Math.min(mostTrialPauseMs, (timePerTrial - 1) * totalMs);
}

/** Learns a worker's speed from its trial, even if others were faster. @returns whether the result is a trial's */
export function takeTrial(
  run: RunState,
  connection: Connection,
  message: Shard & { readonly step: number; readonly computeMs: number; readonly turnaroundMs?: number | undefined },
): boolean {
  const { connection: id, trial, link } = connection;
  if (!trial || !isTrial(connection, message)) return false;
  const { samples, startedAtMs } = trial;
  const totalMs = run.nowMs - startedAtMs;
  // A newcomer's own time is not trusted: all time that its link does not explain counts as computing.
  const computeMs = connection.isProven
    ? Math.min(message.computeMs, totalMs)
    : Math.max(message.computeMs, totalMs - link.networkMs);
  const before = connection.isProven ? connection : { ...connection, samplesPerMs: 0 };
  updateConnection(run, id, {
    trial: undefined,
    nextTrialAtMs: run.nowMs + trialPauseMs(totalMs),
    ...speedAfter(before, { samples, computeMs, totalMs }),
  });
  measureLink(run, connection, { totalMs, computeMs, turnaroundMs: message.turnaroundMs });
  return true;
}

/**
 * Assigns every open shard of a step to the proven worker that owes the fewest samples, the largest shard first. While
 * most workers are unproven, as at the beginning of a run, newcomers get single microbatches and proven workers one
 * shard at a time, so that each newcomer takes shards as well once its result is confirmed.
 */
export function assignUnowned(run: RunState, step: StepRun): void {
  if (!isAnyOpen(run, step)) return;
  const workers = available(run);
  if (workers.length === 0) return;
  const proven = workers.filter(({ isProven }) => isProven);
  const newcomers = workers.filter(({ isProven }) => !isProven);
  if (newcomers.length < Math.max(1, proven.length)) assignAmong(run, step, proven);
  // Only results of the current step prove a worker.
  else if (step.step === run.current.step) assignByParts(run, step, proven, newcomers);
}

function assignAmong(run: RunState, step: StepRun, workers: readonly Connection[]): void {
  const owed = new Map(workers.map((worker) => [worker, owedSamples(step, worker.connection)]));
  halveForIdle(run, step, [...owed.values()].filter((samples) => samples === 0).length);
  for (const shard of openShards(run, step).sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const candidates = candidatesFor(shard, [...owed]);
    // If the results of all workers are held already, the coordinator computes the shard.
    if (candidates.length === 0) continue;
    const [worker, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(run, step, shard, worker);
    owed.set(worker, samples + shard.samples);
  }
}

function assignByParts(
  run: RunState,
  step: StepRun,
  proven: readonly Connection[],
  newcomers: readonly Connection[],
): void {
  const idle = proven.filter(({ connection }) => owedSamples(step, connection) === 0);
  const busy = onTrial(run);
  const free = newcomers.filter(({ connection }) => !busy.has(connection));
  if (idle.length + free.length === 0) return;
  halveForIdle(run, step, proven.length + newcomers.length);
  // Shards with held results first, since each proves another worker; shards that newcomers may still answer last.
  const rank = ({ held, assignments }: ShardState): number => (held.length > 0 ? 0 : assignments.length === 0 ? 1 : 2);
  const open = openShards(run, step).sort((a, b) => rank(a) - rank(b) || b.samples - a.samples || a.lo - b.lo);
  for (const worker of idle) {
    const place = open.findIndex((shard) => candidatesFor(shard, [[worker, 0]]).length > 0);
    if (place >= 0) assign(run, step, open.splice(place, 1)[0]!, worker);
  }
  for (const worker of free) {
    const [largest] = waitingShards(step)
      .filter(({ held }) => held.length === 0)
      .sort((a, b) => b.samples - a.samples || a.lo - b.lo);
    if (!largest) return;
    assign(run, step, firstMicrobatch(run, step, largest), worker);
  }
}

/** Returns workers without an assignment to, or a held result of, a shard; preferably none that found it non-finite. */
function candidatesFor<Entry extends readonly [Connection, number]>(
  { assignments, held, nonFiniteFrom }: ShardState,
  workers: readonly Entry[],
): readonly Entry[] {
  const free = workers.filter(
    ([{ connection, workerId }]) =>
      !assignments.some((assignment) => assignment.connection === connection) &&
      !held.some((result) => result.workerId === workerId),
  );
  const others = free.filter(([{ connection }]) => !nonFiniteFrom.includes(connection));
  return others.length > 0 ? others : free;
}

/** Returns the shards of a step that are neither done nor assigned to a proven worker or the coordinator. */
export function openShards(run: RunState, { shards }: StepRun): ShardState[] {
  const open: ShardState[] = [];
  for (const shard of shards.values()) if (isOpen(run, shard)) open.push(shard);
  return open;
}

function isAnyOpen(run: RunState, { shards }: StepRun): boolean {
  for (const shard of shards.values()) if (isOpen(run, shard)) return true;
  return false;
}

function isOpen({ connections }: RunState, { done, assignments }: ShardState): boolean {
  return !done && !assignments.some(({ connection, why }) => why === 'check' || connections.get(connection)?.isProven);
}

/** Returns the shards that are neither done nor assigned. */
function waitingShards({ shards }: StepRun): ShardState[] {
  const waiting: ShardState[] = [];
  for (const shard of shards.values()) if (!shard.done && shard.assignments.length === 0) waiting.push(shard);
  return waiting;
}

/** Returns whether any shard of a step is done or assigned. */
export function isAnyOwned({ shards }: StepRun): boolean {
  for (const { done, assignments } of shards.values()) if (done || assignments.length > 0) return true;
  return false;
}

/** Halves the largest unassigned shard until there is one for each idle worker, or none is left to halve. */
function halveForIdle(run: RunState, step: StepRun, idleWorkers: number): void {
  for (let waiting = waitingShards(step); waiting.length < idleWorkers; waiting = waitingShards(step)) {
    const largest = waiting
      .filter((shard) => shard.n > 1 && shard.held.length === 0)
      .sort((a, b) => b.samples - a.samples)[0];
    if (!largest) return;
    halve(run, step, largest);
  }
}

/** Replaces a shard by its halves. @returns the first half */
function halve(run: RunState, step: StepRun, shard: ShardState): ShardState {
  const used = usedMicrobatches(run.setup.plan, step.step);
  step.shards.remove(shard);
  const [first, ...rest] = halvesOf(shard)
    .filter(({ lo }) => lo < used)
    .map((half) => ({ ...newShard(run, step.step, half), nonFiniteFrom: shard.nonFiniteFrom }));
  for (const half of [first!, ...rest]) step.shards.add(half);
  return first!;
}

/** Halves a shard until its first microbatch is a shard by itself. */
function firstMicrobatch(run: RunState, step: StepRun, shard: ShardState): ShardState {
  let first = shard;
  while (first.n > 1) first = halve(run, step, first);
  return first;
}

/**
 * Trials: a worker that no step relies on computes a microbatch that others compute as well. A newcomer's
 * result counts only if it is the same, and shows that it is to be relied on.
 */
import type { Shard } from '../tree.ts';
import { available, type Draft, updateConnection } from './draft.ts';
import { measureLink } from './links.ts';
import { speedAfter } from './speed.ts';
import type { Connection, ConnectionId, CoordinatorState, ShardState } from './state.ts';

/** At most one in so many microbatches is a trial. */
const microbatchesPerTrial = 8;

/**
 * Who is on trial in a step of so many microbatches: first workers that are not proven, whose microbatch the step
 * itself contains; then, of the `shareless`, those that are too slow for a share, whose result is only timed.
 */
export function chooseTrials(
  draft: Draft,
  workers: readonly Connection[],
  shareless: readonly Connection[],
  microbatches: number,
): { readonly newcomers: Connection[]; readonly timed: Connection[] } {
  const all = available(draft);
  if (shareless.length === 0 && workers.length === all.length) return { newcomers: [], timed: [] };
  const free = all.filter((worker) => worker.trial === undefined);
  const [isFree, isWorker] = [new Set(free), new Set(workers)];
  const most = Math.min(microbatches, Math.max(1, Math.floor(microbatches / microbatchesPerTrial)));
  const newcomers = free.filter((worker) => !isWorker.has(worker)).slice(0, most);
  // Where workers outnumber the microbatches, no speed would give each of them a share.
  const tooSlow = microbatches < workers.length ? [] : shareless.filter((worker) => isFree.has(worker));
  const due = tooSlow.filter(({ nextTrialAtMs }) => draft.nowMs >= nextTrialAtMs);
  return { newcomers, timed: due.slice(0, most - newcomers.length) };
}

export function isTrial(owner: Connection | undefined, { step, lo, n }: Shard & { readonly step: number }): boolean {
  return owner?.trial?.step === step && owner.trial.lo === lo && owner.trial.n === n;
}

/** Owners of a shard on trial that have not answered when it is done: its sum is kept, to compare theirs with. */
export function awaitedFrom(
  { connections }: Pick<CoordinatorState, 'connections'>,
  step: number,
  { lo, n, owners }: ShardState,
  except?: ConnectionId,
): ConnectionId[] {
  return owners
    .map(({ connection }) => connection)
    .filter((id) => id !== except && isTrial(connections.get(id), { step, lo, n }));
}

/**
 * Workers that compute a microbatch now to show what they can do, or wait until their result of the step was compared. A
 * microbatch of a later step waits for its weights, and keeps a worker from nothing.
 */
export function onTrial({ connections, current }: RunView): Set<ConnectionId> {
  const busy = new Set<ConnectionId>();
  for (const { connection, trial } of connections.values()) {
    if (trial !== undefined && trial.step <= current.step) busy.add(connection);
  }
  for (const { done, votes } of current.shards.values()) {
    if (!done) for (const { connection } of votes) busy.add(connection);
  }
  return busy;
}

/** Fields that a draft and a state have in common. */
interface RunView {
  readonly connections: ReadonlyMap<ConnectionId, Connection>;
  readonly current: { readonly step: number; readonly shards: ReadonlyMap<string, ShardState> };
}

/** A worker without a share spends one part of its time in so many on trials … */
const timePerTrial = 4;
/** … and does not wait longer than this for the next one. */
const mostTrialPauseMs = 10_000;

/** How long a worker without a share is left alone after something that took it so long. */
export function trialPauseMs(totalMs: number): number {
  return Math.min(mostTrialPauseMs, (timePerTrial - 1) * totalMs);
}

/** Whether a result is that of a trial, which shows the worker's speed also when other workers were faster. */
export function takeTrial(
  draft: Draft,
  connection: Connection,
  message: Shard & { readonly step: number; readonly computeMs: number; readonly turnaroundMs?: number | undefined },
): boolean {
  const { connection: id, trial, link } = connection;
  if (!trial || !isTrial(connection, message)) return false;
  const { samples, startedAtMs } = trial;
  const totalMs = draft.nowMs - startedAtMs;
  // What a newcomer claims is not believed: what its link does not explain is the time for its samples.
  const computeMs = connection.isProven
    ? Math.min(message.computeMs, totalMs)
    : Math.max(message.computeMs, totalMs - link.networkMs);
  const before = connection.isProven ? connection : { ...connection, samplesPerMs: 0 };
  updateConnection(draft, id, {
    trial: undefined,
    nextTrialAtMs: draft.nowMs + trialPauseMs(totalMs),
    ...speedAfter(before, { samples, computeMs, totalMs }),
  });
  measureLink(draft, connection, { totalMs, computeMs, turnaroundMs: message.turnaroundMs });
  return true;
}

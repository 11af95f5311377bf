/** A worker's track record: its speed, its link, and the reliability of its results. */

import { emit, type RunState, updateConnection } from './run-state.ts';
import type { AddressRecord, Connection, ConnectionId, CoordinatorState } from './state.ts';

/** Bounds of any device's rate: one sample in ten seconds, and a million in a millisecond. */
const slowestSamplesPerMs = 1e-4;
const fastestSamplesPerMs = 1e6;

/**
 * Clamps a rate so that shares stay finite and deadlines reachable, since workers report their own times. 0 means not
 * measured, and stays 0.
 */
export function boundedRate(samplesPerMs: number): number {
  if (!(samplesPerMs > 0)) return 0;
  return Math.min(fastestSamplesPerMs, Math.max(slowestSamplesPerMs, samplesPerMs));
}

/** Weight of the newest rate: half of a change is forgotten in about three results. */
const rateSmoothing = 0.2;

/** Returns the rate after one more result; a time of 0 is too short for the worker's clock and measures nothing. */
function rateAfter(before: number, samples: number, computeMs: number): number {
  const measured = boundedRate(computeMs > 0 ? samples / computeMs : 0);
  if (measured === 0) return before;
  return before > 0 ? before + rateSmoothing * (measured - before) : measured;
}

/** Weight of the newest overhead: a mean over about ten results, to average stalls. */
const overheadSmoothing = 0.1;

/**
 * Returns the speed after one more result. All time that the rate does not explain is overhead, whatever the reason:
 * the link, a busy processor, a frozen process, or a false claim of the worker's rate.
 */
export function speedAfter(
  { samplesPerMs: before, overheadMs }: Pick<Connection, 'samplesPerMs' | 'overheadMs'>,
  { samples, computeMs, totalMs }: { readonly samples: number; readonly computeMs: number; readonly totalMs: number },
): Pick<Connection, 'samplesPerMs' | 'overheadMs'> {
  const samplesPerMs = rateAfter(before, samples, computeMs);
  const measuredMs = samplesPerMs > 0 ? Math.max(0, totalMs - samples / samplesPerMs) : totalMs;
  return { samplesPerMs, overheadMs: overheadMs + overheadSmoothing * (measuredMs - overheadMs) };
}

/** Weight of the newest link measurement. */
const smoothing = 0.3;
/** A link counts as slow if it takes this long for a step, and `slowFactor` times as long as computing … */
const slowMs = 500;
const slowFactor = 3;
/** … on this many results in a row: a frozen process, even the coordinator's own, delays one result of each worker. */
const enoughResults = 3;

/** Estimates a link from the numerics check, which sends weights one way and a gradient back, as a step does. */
export function estimateLink(run: RunState, { connection, link }: Connection, networkMs: number): void {
  if (link.results > 0) return;
  updateConnection(run, connection, { link: { ...link, networkMs: Math.max(0, networkMs) } });
}

interface ResultTimes {
  /** Time since the worker was sent the last message that it needed. */
  readonly totalMs: number;
  readonly computeMs: number;
  /** Time since the worker had received all that it needed, by its own account. */
  readonly turnaroundMs?: number | undefined;
}

/** Measures a link by one more result, and reports a slow link. A relay's link includes the links behind it. */
export function measureLink(
  run: RunState,
  { connection, workerId, link }: Connection,
  { totalMs, computeMs, turnaroundMs = 0 }: ResultTimes,
): void {
  const isRelay = run.records.get(workerId ?? '')?.kind === 'relay';
  const measured = Math.max(0, totalMs - (isRelay ? computeMs : Math.max(computeMs, turnaroundMs)));
  const networkMs = link.results > 0 ? link.networkMs + smoothing * (measured - link.networkMs) : measured;
  const results = link.results + 1;
  const slowResults = measured > Math.max(slowMs, slowFactor * computeMs) ? link.slowResults + 1 : 0;
  const isSlow = slowResults >= enoughResults;
  if (isSlow && !link.slownessReported) emit(run, { type: 'slowLink', workerId: workerId ?? '', networkMs, computeMs });
  updateConnection(run, connection, {
    link: { networkMs, results, slowResults, slownessReported: link.slownessReported || isSlow },
  });
}

/** Maximum number of remembered addresses; the longest unchanged is forgotten first. */
const mostAddresses = 4_096;
/** Maximum number of confirmed results that a worker needs to count as proven. */
const mostResults = 64;
/** Number of quarantines after which an address is closed for a time: others may share it, so never for good. */
const mostQuarantines = 3;
/** Number of times that relays at an address may take sums back before it is closed; each costs the run steps. */
const mostWithdrawals = 16;
/** How long an address is closed the first time. Each further wrong result doubles it. */
const firstClosureMs = 5_000;
const longestClosureMs = 300_000;

const clean: AddressRecord = { failures: 0, quarantines: 0 };

function addressRecord(run: Pick<CoordinatorState, 'addresses'>, { address }: Connection): AddressRecord {
  return run.addresses.get(address) ?? clean;
}

/**
 * Returns the fraction of a worker's results, 0 to 1, that the coordinator checks. It begins at 1 and is halved by each
 * confirmed result, so that on average a liar gets no more wrong results added than it has had right ones. Each
 * quarantine at its address doubles the confirmed results that this takes.
 */
export function checkRate(run: Pick<CoordinatorState, 'setup' | 'addresses'>, connection: Connection): number {
  const { verifyRate = 0 } = run.setup;
  if (verifyRate === 0) return 0;
  const halvings = Math.floor(connection.checked / 2 ** addressRecord(run, connection).quarantines);
  return Math.max(verifyRate, 2 ** -halvings);
}

/**
 * Counts a confirmed result. A connection is proven after its first one, or twice as many for each failure of its
 * address. It then stays proven, even if another worker at the address fails.
 * @param isByCoordinator whether the coordinator's own result has confirmed it
 */
export function recordSuccess(run: RunState, id: ConnectionId, isByCoordinator = false): void {
  const connection = run.connections.get(id);
  if (!connection) return;
  const confirmed = connection.confirmed + 1;
  const needed = Math.min(mostResults, 2 ** addressRecord(run, connection).failures);
  updateConnection(run, id, {
    confirmed,
    checked: connection.checked + (isByCoordinator ? 1 : 0),
    isProven: connection.isProven || confirmed >= needed,
    isDoubted: false,
  });
}

/** Counts a missed deadline or an invalid message against the worker's address. */
export function recordFailure(run: RunState, connection: Connection): void {
  const before = addressRecord(run, connection);
  remember(run, connection, { ...before, failures: before.failures + 1 });
}

export function recordQuarantine(run: RunState, connection: Connection): void {
  const before = addressRecord(run, connection);
  const { failures, quarantines } = before;
  const wrong = { quarantines: quarantines + 1, wrongAtMs: run.nowMs };
  remember(run, connection, { ...before, failures: failures + 1, ...wrong });
  for (const other of run.connections.values()) {
    if (isAlike(run, connection, other)) updateConnection(run, other.connection, { checked: 0 });
  }
}

/** Counts a relay's report that its sums were wrong, against its address. */
export function recordWithdrawal(run: RunState, connection: Connection): void {
  const before = addressRecord(run, connection);
  remember(run, connection, { ...before, withdrawals: (before.withdrawals ?? 0) + 1, wrongAtMs: run.nowMs });
}

/** Whether what is wrong with one worker may be wrong with another: they share an address, or a kind of device. */
function isAlike({ records, setup }: RunState, one: Connection, other: Connection): boolean {
  if (one.address !== '' && one.address === other.address) return true;
  const [left, right] = [one, other].map(({ workerId = '' }) => records.get(workerId)?.numericsHash);
  return left !== undefined && left === right && left !== setup.refereeHash;
}

/** Returns for how long the connection's address is closed, because too many wrong results came from it; 0 if it is open. */
export function closedForMs(run: RunState, connection: Connection): number {
  const { quarantines, withdrawals = 0, wrongAtMs = 0 } = addressRecord(run, connection);
  const beyond = Math.max(quarantines - mostQuarantines, withdrawals - mostWithdrawals);
  if (beyond < 0) return 0;
  return Math.max(0, Math.ceil(wrongAtMs + Math.min(longestClosureMs, firstClosureMs * 2 ** beyond) - run.nowMs));
}

/**
 * Returns a hash by which another worker from the same address is recognized, also after the run was resumed. It has 16
 * bits, so that no address can be told from it. Undefined for workers of this process.
 */
export function originOf({ originSalt }: Pick<CoordinatorState, 'originSalt'>, address: string): number | undefined {
  if (address === '') return undefined;
  // FNV-1a (Fowler, Noll, Vo), folded to 16 bits.
  let hash = (0x811c9dc5 ^ originSalt) >>> 0;
  for (let at = 0; at < address.length; at++) hash = Math.imul(hash ^ address.charCodeAt(at), 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}

function remember(run: RunState, { address }: Connection, record: AddressRecord): void {
  // Workers of this process have no address that a failure could count against.
  if (address === '') return;
  run.addresses.delete(address);
  run.addresses.set(address, record);
  const [oldest] = run.addresses.keys();
  if (run.addresses.size > mostAddresses && oldest !== undefined) run.addresses.delete(oldest);
}

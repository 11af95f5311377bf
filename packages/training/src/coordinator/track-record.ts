/** What is known of a worker: its speed, its link, and how far its results are to be relied on. */
import { emit, type RunState, updateConnection } from './run-state.ts';
import type { AddressRecord, Connection, ConnectionId } from './state.ts';

/** One sample in ten seconds, and a million in a millisecond: no device is slower or faster. */
const slowestSamplesPerMs = 1e-4;
const fastestSamplesPerMs = 1e6;

/**
 * The rate within bounds that keep shares finite and deadlines reachable, since a worker reports its own times. 0 stays
 * 0: not measured.
 */
export function boundedRate(samplesPerMs: number): number {
  if (!(samplesPerMs > 0)) return 0;
  return Math.min(fastestSamplesPerMs, Math.max(slowestSamplesPerMs, samplesPerMs));
}

/** Weight of the newest measurement: half of a change is forgotten in about three results. */
const rateSmoothing = 0.2;

/** The rate after one more result; a time of 0 is too short for the worker's clock and measures nothing. */
function rateAfter(before: number, samples: number, computeMs: number): number {
  const measured = boundedRate(computeMs > 0 ? samples / computeMs : 0);
  if (measured === 0) return before;
  return before > 0 ? before + rateSmoothing * (measured - before) : measured;
}

/** A stall counts in the mean of about ten results. */
const overheadSmoothing = 0.1;

/**
 * The speed after one more result. What it took beyond the time for its samples is overhead, whatever the reason: the
 * link, a busy processor, a frozen process, or a rate that the worker only claims.
 */
export function speedAfter(
  { samplesPerMs: before, overheadMs }: Pick<Connection, 'samplesPerMs' | 'overheadMs'>,
  { samples, computeMs, totalMs }: { readonly samples: number; readonly computeMs: number; readonly totalMs: number },
): Pick<Connection, 'samplesPerMs' | 'overheadMs'> {
  const samplesPerMs = rateAfter(before, samples, computeMs);
  const measuredMs = samplesPerMs > 0 ? Math.max(0, totalMs - samples / samplesPerMs) : totalMs;
  return { samplesPerMs, overheadMs: overheadMs + overheadSmoothing * (measuredMs - overheadMs) };
}

/** Weight of the newest measurement. */
const smoothing = 0.3;
/** A link counts as slow once it takes this long for a step, and several times as long as computing … */
const slowMs = 500;
const slowFactor = 3;
/** … measured on so many results. */
const enoughResults = 3;

/** A first estimate, from the numerics check: it carries weights one way and a gradient back, as a step does. */
export function estimateLink(run: RunState, { connection, link }: Connection, networkMs: number): void {
  if (link.results > 0) return;
  updateConnection(run, connection, { link: { ...link, networkMs: Math.max(0, networkMs) } });
}

interface ResultTimes {
  /** From the last thing that the worker needed for it. */
  readonly totalMs: number;
  readonly computeMs: number;
  /** For which the worker had all that it needed, as it says. */
  readonly turnaroundMs?: number | undefined;
}

/** One more result; reports a link that is slow. The links behind a relay are part of its own. */
export function measureLink(
  run: RunState,
  { connection, workerId, link }: Connection,
  { totalMs, computeMs, turnaroundMs = 0 }: ResultTimes,
): void {
  const isRelay = run.records.get(workerId ?? '')?.kind === 'relay';
  const measured = Math.max(0, totalMs - (isRelay ? computeMs : Math.max(computeMs, turnaroundMs)));
  const networkMs = link.results > 0 ? link.networkMs + smoothing * (measured - link.networkMs) : measured;
  const results = link.results + 1;
  const isSlow = results >= enoughResults && networkMs > Math.max(slowMs, slowFactor * computeMs);
  if (isSlow && !link.slownessReported) emit(run, { type: 'slowLink', workerId: workerId ?? '', networkMs, computeMs });
  updateConnection(run, connection, {
    link: { networkMs, results, slownessReported: link.slownessReported || isSlow },
  });
}

/** Addresses that are remembered; the longest unchanged are forgotten first. */
const mostAddresses = 4_096;
/** Confirmed results that a worker needs at most before it counts as proven. */
const mostResults = 64;
/** Quarantines after which an address is refused. */
const mostQuarantines = 3;

const clean: AddressRecord = { failures: 0, quarantines: 0 };

function addressRecord(run: RunState, { address }: Connection): AddressRecord {
  return run.addresses.get(address) ?? clean;
}

/**
 * One more result of a connection was compared and found right. It is proven after the first, or twice as many for each
 * failure of its address, and stays so while it is connected: a failure of a neighbor takes nothing from it.
 */
export function recordSuccess(run: RunState, id: ConnectionId): void {
  const connection = run.connections.get(id);
  if (!connection) return;
  const confirmed = connection.confirmed + 1;
  const needed = Math.min(mostResults, 2 ** addressRecord(run, connection).failures);
  updateConnection(run, id, {
    confirmed,
    isProven: connection.isProven || confirmed >= needed,
    isDoubted: false,
  });
}

/** A worker let a deadline pass, or sent something invalid. */
export function recordFailure(run: RunState, connection: Connection): void {
  const before = addressRecord(run, connection);
  remember(run, connection, { ...before, failures: before.failures + 1 });
}

export function recordQuarantine(run: RunState, connection: Connection): void {
  const { failures, quarantines } = addressRecord(run, connection);
  remember(run, connection, { failures: failures + 1, quarantines: quarantines + 1 });
}

/** Whether an address has sent too many wrong results to be let in again. */
export function isRefused(run: RunState, connection: Connection): boolean {
  return addressRecord(run, connection).quarantines >= mostQuarantines;
}

function remember(run: RunState, { address }: Connection, record: AddressRecord): void {
  // Workers of this very process share no network, and no guilt.
  if (address === '') return;
  run.addresses.delete(address);
  run.addresses.set(address, record);
  const [oldest] = run.addresses.keys();
  if (run.addresses.size > mostAddresses && oldest !== undefined) run.addresses.delete(oldest);
}
